"""A command in a child process, whose end the process that started it supervises (Linux).

Python runs a handler of signals only between two instructions of the main thread. A long native
call, the loading of a library or code that swallows exceptions keep it from that, and what the
system kills says nothing. So the first process passes signals on, ends the other one if it is still
there after a moment, or at a second signal, removes what that left half written, and says why.
"""

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from unblank.interruption import (
    BEGUN,
    ENDED,
    FINISHING,
    GOING_ON,
    REQUESTS,
    SAID,
    is_asked_again,
    report_to_supervisor,
)
from unblank.process import end_with_the_parent

__all__ = ["supervise"]

_GRACE = 1.0
"""Seconds that cleaning up may take after a signal."""


def supervise(say: Callable[[int], None]) -> None:
    """Go on in a new process, and watch it in this one, which ends with its exit status.

    Returns in the new process only.

    Args:
        say: called with the signal that ended the new process, if that has not said it itself.
    """
    if sys.platform != "linux":
        return
    signals_reader, signals_writer = os.pipe()
    messages_reader, messages_writer = os.pipe()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
    first_process = os.getpid()
    child = os.fork()
    if child == 0:
        end_with_the_parent()
        if os.getppid() != first_process:  # it was gone before that
            os._exit(1)
        _write_signals_to(signals_writer)
        report_to_supervisor(messages_writer)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_the_parent()  # torchrun, which ends this one only as long as it lives itself
    os._exit(_Watch(child, signals_reader, messages_reader, say).until_the_end(blocked))


@dataclass(slots=True)
class _Watch:
    """The watch over one process.

    Attributes:
        child: the process.
        signals: file descriptor with the numbers of the signals that it got, a byte each.
        messages: file descriptor to read its messages from.
        say: as for `supervise`.
    """

    child: int
    signals: int
    messages: int
    say: Callable[[int], None]
    asked: int | None = None
    """The first signal that it got."""
    asked_at: float = 0.0
    ends_at: float | None = None
    """Time at which it is ended."""
    are_signals_deferred: bool = False
    is_said: bool = False
    half_written: set[Path] = field(default_factory=set)

    def until_the_end(self, blocked: set[int | signal.Signals]) -> int:
        """Return the exit status for this process, when the other one is gone.

        Args:
            blocked: signals to block from here on.
        """
        own, writer = os.pipe()
        _write_signals_to(writer)
        for number in (signal.SIGCHLD, *REQUESTS):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for descriptor in (own, self.signals, self.messages):
            os.set_blocking(descriptor, False)
        while True:
            done, status = os.waitpid(self.child, os.WNOHANG)
            if done:
                self._hear()
                return self._status(os.waitstatus_to_exitcode(status))
            left = None if self.ends_at is None else self.ends_at - time.monotonic()
            if left is not None and left <= 0:
                os.kill(self.child, signal.SIGKILL)
                left = None
            select.select([own, self.signals, self.messages], [], [], left)
            for number in _read(own):
                if number in REQUESTS:
                    os.kill(self.child, number)
            self._hear()

    def _hear(self) -> None:
        """Take in the messages of the process and which signals it got, in this order."""
        for message in _read(self.messages).decode("utf-8", "surrogateescape").split("\0"):
            if message in (FINISHING, GOING_ON):
                self.are_signals_deferred = message == FINISHING
            elif message == SAID:
                self.is_said = True
            elif message.startswith(BEGUN):
                self.half_written.add(Path(message.removeprefix(BEGUN)))
            elif message.startswith(ENDED):
                self.half_written.discard(Path(message.removeprefix(ENDED)))
        for number in _read(self.signals):
            if number not in REQUESTS:
                continue
            now = time.monotonic()
            if self.asked is None:
                self.asked, self.asked_at = number, now
                self.ends_at = None if self.are_signals_deferred else now + _GRACE
            elif is_asked_again(self.asked_at):
                self.ends_at = now

    def _status(self, code: int) -> int:
        """Clean up after the process and return what a shell would report of it."""
        if code >= 0:
            return code
        for path in self.half_written:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        number = self.asked or -code
        if not self.is_said:
            self.say(number)
        return 128 + number


def _write_signals_to(writer: int) -> None:
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)


def _read(descriptor: int) -> bytes:
    """Return what can be read without waiting."""
    found = b""
    try:
        while block := os.read(descriptor, 65536):
            found += block
    except BlockingIOError:
        pass
    return found
