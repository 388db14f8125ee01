"""Folders that the main process opens and completes, and every process writes into.

They lie where every process sees them. What fails in one process fails in all, and only the main
one says it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from unblank.engine.checkpoint import CheckpointError
from unblank.engine.parallel import World

__all__ = ["agree", "folder_for_all", "open_for_all"]


def open_for_all(world: World, folder: AbstractContextManager[Path], stack: ExitStack) -> Path:
    """Return the path of a folder, in every process, that the main one opens.

    Args:
        world: the processes; all must call this.
        folder: what the main one enters.
        stack: closes it.

    Raises:
        CheckpointError: it could not be opened.
    """
    path, failure = Path(), None
    if world.is_main:
        try:
            path = stack.enter_context(folder)
        except (OSError, CheckpointError) as error:
            failure = str(error)
    agree(world, failure)
    return Path(world.gather(path)[0])


@contextmanager
def folder_for_all(world: World, folder: AbstractContextManager[Path]) -> Iterator[Path]:
    """Let every process write into a folder that the main one completes after the block.

    Args:
        world: the processes; all must call this.
        folder: what the main one enters.

    Raises:
        CheckpointError: some process could not write there.
    """
    if world.size == 1:
        with folder as path:
            yield path
        return
    with ExitStack() as stack:
        path, failure = open_for_all(world, folder, stack), None
        try:
            yield path
        except OSError as error:
            failure = str(error)
        agree(world, failure)
    world.wait()


def agree(world: World, failure: str | None) -> None:
    """Raise in every process what failed in one.

    Args:
        world: the processes; all must call this.
        failure: what failed in this one.

    Raises:
        CheckpointError: something failed; only the one of the main process has a message.
    """
    failures = {rank: one for rank, one in enumerate(world.gather(failure)) if one is not None}
    if not failures:
        return
    rank, said = next(iter(failures.items()))
    where = f"process {rank}: " if world.size > 1 and rank else ""
    raise CheckpointError(f"{where}{said}" if world.is_main else "")
