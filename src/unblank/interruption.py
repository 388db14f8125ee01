"""Signals that ask a process to end: SIGINT (Ctrl-C), SIGTERM and SIGHUP.

The first one raises `Interrupted` in the main thread, so that what is half written is cleaned up;
in a block of `defer_signals` it is only noted. A command is watched by a process of its own, which
ends it where this is not enough (`unblank.supervision`); it gets messages from here.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

__all__ = [
    "BEGUN",
    "ENDED",
    "FINISHING",
    "GOING_ON",
    "REQUESTS",
    "SAID",
    "Interrupted",
    "Request",
    "allow_signals",
    "are_signals_deferred",
    "defer_signals",
    "half_written",
    "ignore_signals",
    "is_asked_again",
    "leave",
    "raise_on_signals",
    "received_signal",
    "report_to_supervisor",
]

REQUESTS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
"""The signals, those that the system has."""

_TOGETHER = 0.2
"""Seconds within which several signals are one request: `timeout` and SLURM send to a process and
to its group, torchrun passes on what it gets."""

FINISHING, GOING_ON, BEGUN, ENDED, SAID = "finishing", "going on", "begun ", "ended ", "said"
"""The messages: a block of `defer_signals` begins or ends, a path is half written or no longer, and
that this process has said why it ends."""


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that names the signal, as shells have it."""
        return 128 + self.number


@dataclass(slots=True)
class Request:
    """Whether the end was asked for while something had to be finished first."""

    number: int | None = None
    """The signal, once there was one."""


@dataclass(slots=True)
class _State:
    """What this process was asked, and to whom it reports."""

    asked_at: float | None = None
    """Time of the first signal."""
    number: int | None = None
    """The first signal."""
    request: Request | None = None
    """Of the innermost block of `defer_signals`."""
    allows_signals: bool = False
    """Whether a signal is raised although something is to be finished first."""
    channel: int | None = None
    """File descriptor that the watching process reads, one line a message."""


_state = _State()


def is_asked_again(asked_at: float) -> bool:
    """Return whether a signal that comes now, after a first one, asks to end at once.

    Under torchrun none does: it passes on to each process what that may have got already, however
    late on a busy machine, and itself ends what is asked twice.

    Args:
        asked_at: time of the first signal, of `time.monotonic`.
    """
    is_by_torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    return not is_by_torchrun and time.monotonic() - asked_at >= _TOGETHER


def received_signal() -> int | None:
    """Return the signal that asked this process to end, if one did."""
    return _state.number


def are_signals_deferred() -> bool:
    """Return whether this is inside a block of `defer_signals`."""
    return _state.request is not None


def report_to_supervisor(channel: int) -> None:
    """Send a process that supervises this one what it has to know to end it.

    Args:
        channel: file descriptor to write to.
    """
    _state.channel = channel


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Handle signals within the block, except those that are to be ignored, as under `nohup`.

    Raises:
        Interrupted: in the block, at the first signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in REQUESTS}
    ours = [number for number in REQUESTS if before[number] is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, _on_signal)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])
        if _state.channel is None:  # a process that lives on, such as that of a notebook
            _state.asked_at = _state.number = None


@contextmanager
def defer_signals(request: Request) -> Iterator[None]:
    """Note the first signal in `request` instead of raising it; whoever runs the block looks there.

    Raises:
        Interrupted: in the block, at a second signal; after it, if nobody has looked.
    """
    outer, _state.request = _state.request, request
    _report(FINISHING)
    try:
        with raise_on_signals():
            yield
    finally:
        _state.request, _state.asked_at, _state.number = outer, None, None
        _report(GOING_ON)
    if request.number is not None:
        raise Interrupted(request.number)


@contextmanager
def allow_signals(*, is_possible: bool) -> Iterator[None]:
    """Let a signal be raised in the block, inside of one that is to be finished first.

    Args:
        is_possible: else a signal is only noted, as outside of the block.

    Raises:
        Interrupted: in the block, or at its beginning if the end was asked for before.
    """
    request = _state.request
    if request is None or not is_possible:
        yield
        return
    if request.number is not None:
        raise Interrupted(request.number)
    _state.allows_signals = True
    try:
        yield
    finally:
        _state.allows_signals = False


@contextmanager
def half_written(path: Path) -> Iterator[None]:
    """Name a file or folder that is removed if the process has to be ended within the block."""
    _report(f"{BEGUN}{path.absolute()}")
    try:
        yield
    finally:
        _report(f"{ENDED}{path.absolute()}")


def leave(status: int) -> NoReturn:
    """End this process, which has said why; at once if it is watched, as all is cleaned up."""
    if _state.channel is not None:
        _report(SAID)
        # Taking down torch and its threads can take seconds.
        os._exit(status)
    sys.exit(status)


def ignore_signals() -> None:
    """Let this process, which works for another one, live on until that one ends it."""
    for number in REQUESTS:
        signal.signal(number, signal.SIG_IGN)


def _on_signal(number: int, frame: FrameType | None) -> None:
    asked_at = _state.asked_at
    if asked_at is not None:
        # If there is one, the watching process sees to a second signal: an exception might break
        # off the cleaning up.
        if _state.channel is None and is_asked_again(asked_at):
            raise Interrupted(number)
        return
    _state.asked_at, _state.number = time.monotonic(), number
    if _state.request is None:
        raise Interrupted(number)
    _state.request.number = number
    if _state.allows_signals:
        raise Interrupted(number)


def _report(message: str) -> None:
    if _state.channel is not None:
        os.write(_state.channel, f"{message}\0".encode("utf-8", "surrogateescape"))


def _belong_to_the_parent() -> None:
    """In a forked process: its signals and files are not those that are watched."""
    if _state.channel is not None:
        _state.channel = None
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_belong_to_the_parent)
