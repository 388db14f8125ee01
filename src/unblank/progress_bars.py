"""Progress displays on the error stream, one look for all commands."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic
from typing import Any, Protocol, runtime_checkable

from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from unblank.consoles import TextConsole
from unblank.process import is_main_process

__all__ = ["counting_bar", "progress_bar", "track"]


_DELAY = 0.5
"""Seconds that something takes before it is worth a bar."""


@runtime_checkable
class _CountsBytes(Protocol):
    """Texts of files, which know how far they are read better than how many there are."""

    @property
    def num_bytes(self) -> int: ...

    @property
    def num_bytes_read(self) -> int: ...


class _LateProgress(Progress):
    """A display that appears with the first step after `_DELAY`; what is done sooner has none."""

    _starts_at = math.inf

    def start(self) -> None:
        self._starts_at = monotonic() + _DELAY

    def stop(self) -> None:
        if self.live.is_started:
            super().stop()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._show_when_late()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        self._show_when_late()

    def _show_when_late(self) -> None:
        if monotonic() >= self._starts_at and not self.live.is_started:
            super().start()


def progress_bar(*, show: bool) -> Progress:
    """Return a progress display on the error stream, to use with `with`.

    It is silent unless `show`, in all processes of torchrun but the first, and for what is done in
    half a second.
    """
    return _LateProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=_console(),
        # While a bar is live, what the caller prints to a file or a pipe must still go there.
        redirect_stdout=sys.stdout.isatty(),
        disable=not show or not is_main_process(),
    )


@contextmanager
def counting_bar(
    description: str, total: int | None, *, show: bool = True, done: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show one bar; the block calls what it is given with the number of further steps done.

    Args:
        description: beside the bar.
        total: steps; None if it is not known.
        show: as for `progress_bar`.
        done: steps that were done before.
    """
    with progress_bar(show=show) as progress:
        task = progress.add_task(description, total=total, completed=done)
        yield lambda steps: progress.advance(task, steps)


def _console() -> TextConsole:
    """Return the console for a bar: live in a terminal and in a notebook that has widgets.

    A notebook without them shows what is written as it comes, so that a bar may be written only
    once, when it is full, and without the sequences that move a terminal's cursor.
    """
    console = TextConsole(stderr=True)
    if console.is_jupyter and find_spec("ipywidgets") is None:
        return TextConsole(stderr=True, force_jupyter=False, force_terminal=False)
    return console


def track(texts: Iterable[str], progress: Progress, description: str) -> Iterator[str]:
    """Yield the texts and move a bar: by bytes for files of text, by number for anything sized."""
    if isinstance(texts, _CountsBytes):
        task = progress.add_task(description, total=texts.num_bytes)
        for text in texts:
            progress.update(task, completed=texts.num_bytes_read)
            yield text
        progress.update(task, completed=texts.num_bytes_read)
        return
    task = progress.add_task(description, total=len(texts) if isinstance(texts, Sized) else None)
    for text in texts:
        progress.advance(task)
        yield text
