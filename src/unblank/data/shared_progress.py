"""One progress bar for the bytes that several processes work through.

Each process counts its own in a small file that all have mapped, and the main one shows their sum.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

import numpy as np

from unblank.atomic_folders import unfinished_folder
from unblank.progress_bars import progress_bar

__all__ = ["ALONE", "Processes", "shared_bar"]

_SECONDS_BETWEEN = 0.25


class Processes(Protocol):
    """The processes that work together; `unblank.engine.parallel.World` is one."""

    @property
    def rank(self) -> int:
        """Number of this process; process 0 is the main one."""
        ...

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def gather(self, value: Any, /) -> list[Any]:
        """Return the values of all processes, in their order."""
        ...


class _Alone:
    """A process that works by itself."""

    rank = 0
    size = 1

    def gather(self, value: Any, /) -> list[Any]:
        return [value]


ALONE: Processes = _Alone()


@contextmanager
def shared_bar(
    description: str, total: int, processes: Processes, folder: Path, *, show: bool
) -> Iterator[Callable[[int], None]]:
    """Show the bytes of all processes; the block calls what it is given with its own.

    All processes enter and leave the block together.

    Args:
        description: beside the bar.
        total: bytes of all processes.
        processes: that work.
        folder: that all of them can write to.
        show: whether the main process shows the bar.
    """
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar(show=show and processes.rank == 0))
        bar = progress.add_task(description, total=total)
        if processes.size == 1:
            yield lambda num_bytes: progress.advance(bar, num_bytes)
            return
        counts = stack.enter_context(_shared_counts(processes, folder))

        def advance(num_bytes: int) -> None:
            counts[processes.rank] += num_bytes

        def show_sum() -> None:
            progress.update(bar, completed=int(counts.sum()))

        if processes.rank == 0:
            stack.enter_context(_repeated(show_sum))
        yield advance
        processes.gather(None)


@contextmanager
def _shared_counts(processes: Processes, folder: Path) -> Iterator[Any]:
    """Give int64[processes], mapped by all, one element each."""
    path: Path | None = None
    with ExitStack() as stack:
        if processes.rank == 0:
            path = stack.enter_context(unfinished_folder(folder, "progress")) / "counts.bin"
            path.write_bytes(bytes(8 * processes.size))
        yield np.memmap(processes.gather(path)[0], np.int64, "r+", shape=(processes.size,))


@contextmanager
def _repeated(action: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in a thread of its own, and once more at the end."""
    is_over = Event()

    def repeat() -> None:
        while not is_over.wait(_SECONDS_BETWEEN):
            action()

    thread = Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        action()
