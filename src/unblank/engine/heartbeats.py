"""Heartbeats of the processes of a run, one a second, by which a lost process is named.

Without them, a process whose machine fell silent would be waited for, and one that was killed
leaves the others with an error that names a socket.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch.distributed as dist

from unblank.engine.rendezvous import is_torchrun_store
from unblank.process import local_count
from unblank.terminal_text import print_message

__all__ = ["heartbeats"]

_INTERVAL = 1.0
"""Seconds between two heartbeats."""
_LOOKS_EVERY = 5
"""Heartbeats between two looks at those of the others."""
_ENDING, _ENDED = "ending", "ended"
"""The last beats of a process: it ends because something is wrong, or has done its work."""
_WHY = (
    "killed, out of memory, or on a machine that cannot be reached: run the same command again to "
    "continue"
)


class LostProcess(RuntimeError):
    """Another process of the run has ended; the message, of one of those left, says which."""


@contextmanager
def heartbeats(rank: int, size: int, lost_after: float, store: Any) -> Iterator[None]:
    """Give heartbeats within the block, and say which other process gave none if it fails.

    Args:
        rank: number of this process.
        size: number of processes; they have a process group.
        lost_after: seconds without a beat after which this process ends.
        store: of the processes, from `engine.rendezvous`.

    Raises:
        LostProcess: the block failed, and another process is gone or ending.
    """
    beats = _Heartbeats(rank, size, lost_after, store)
    thread = threading.Thread(target=beats.give, name="heartbeats", daemon=True)
    thread.start()
    last = _ENDING
    try:
        yield
        last = _ENDED
    except RuntimeError as error:
        message = beats.explain() if _is_of_a_connection(error) else None
        if message is None:
            raise
        raise LostProcess(message) from error
    finally:
        beats.is_over.set()
        beats.show(last)
        thread.join()


def _is_of_a_connection(error: RuntimeError) -> bool:
    """Return whether an error says that another process could not be reached."""
    # On CPUs, torch has no class of its own for them.
    marks = ("gloo", "Connection closed", "Connection reset", "Broken pipe")
    return isinstance(error, dist.DistError) or any(mark in str(error) for mark in marks)


def _name(rank: int) -> str:
    return f"heartbeats/{rank}"


@dataclass(slots=True)
class _Heartbeats:
    """The beats of all processes, seen from one of them."""

    rank: int
    size: int
    lost_after: float
    store: Any
    is_over: threading.Event = field(default_factory=threading.Event)
    seen: dict[int, tuple[str, float]] = field(default_factory=dict)
    """Process -> its last beat, and the time at which it was new."""

    def __post_init__(self) -> None:
        # A connection of its own: one waits for another's answers.
        self.store = self.store.clone()
        self.show("0")
        # From here on all have given one.
        self.store.wait([_name(rank) for rank in range(self.size)])

    def show(self, beat: str) -> None:
        """Give a beat."""
        try:
            self.store.set(_name(self.rank), f"{socket.gethostname()} {beat}")
        except dist.DistError:  # whoever keeps them is gone
            return

    def give(self) -> None:
        """Give beats until all is over, and end this process if another one gives none."""
        number = 0
        while not self.is_over.wait(_INTERVAL):
            number += 1
            self.show(str(number))
            if number % _LOOKS_EVERY == 0 and (silent := self._silent(self.lost_after)):
                self.show(_ENDING)
                if message := self._message(silent):
                    print_message(f"unblank: {message}")
                # The others look too, at beats that this process may keep.
                time.sleep((_LOOKS_EVERY + 1) * _INTERVAL)
                os._exit(2)

    def explain(self) -> str | None:
        """Return which processes are gone, "" if another one says it, None if all are there."""
        self.is_over.set()
        self.show(_ENDING)
        self._look()
        time.sleep(3 * _INTERVAL)
        if not self._look():
            return self._message_without_a_store()
        if silent := self._silent(2.5 * _INTERVAL):
            return self._message(silent)
        others = {rank for rank, (beat, _) in self.seen.items() if beat.endswith(_ENDING)}
        return "" if others - {self.rank} else None

    def _look(self) -> bool:
        """Take notice of all beats, and return whether that was possible."""
        now = time.monotonic()
        try:
            beats = self.store.multi_get([_name(rank) for rank in range(self.size)])
        except dist.DistError:  # whoever keeps them is gone
            return False
        for rank, beat in enumerate(beats):
            text = bytes(beat).decode()
            if self.seen.get(rank, ("", now))[0] != text:
                self.seen[rank] = (text, now)
        return True

    def _silent(self, patience: float) -> list[int]:
        """Return the other processes that have given no beat for some seconds, nor said goodbye."""
        self._look()
        now = time.monotonic()
        return [
            rank
            for rank, (beat, since) in self.seen.items()
            if now - since > patience and rank != self.rank and not beat.endswith((_ENDING, _ENDED))
        ]

    def _message(self, silent: list[int]) -> str:
        """Return what is said of lost processes, by the first of those that are left."""
        if self.rank != min({*range(self.size)} - {*silent}):
            return ""
        names = ", ".join(f"{rank} (on {self.seen[rank][0].split()[0]})" for rank in silent)
        is_one = len(silent) == 1
        return (
            f"{'process' if is_one else 'processes'} {names} of {self.size} "
            f"{'is' if is_one else 'are'} gone: {_WHY}"
        )

    def _message_without_a_store(self) -> str:
        """Return what is said if nobody keeps the beats any more."""
        is_by_torchrun = is_torchrun_store()
        where = os.environ["MASTER_ADDR"]
        keeper = (
            f"the torchrun of process 0 ({where})" if is_by_torchrun else f"process 0 ({where})"
        )
        first_left = local_count() if is_by_torchrun else 1
        return f"{keeper} of {self.size} is gone: {_WHY}" if self.rank == first_left else ""
