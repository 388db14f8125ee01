"""What is being written, under a hidden name beside its place, and what ended processes left of it.

Its writer holds a lock on it, which the system releases however that process ends: so whatever has
such a name and is not locked will never be finished. Whoever writes there next removes it.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

from unblank.interruption import half_written

__all__ = ["UNFINISHED", "lock", "remove_unlocked", "unfinished_file"]

UNFINISHED = ".unfinished-"
"""What stands in such a name between that of the place and letters that nobody else has."""


@contextmanager
def unfinished_file(place: Path) -> Iterator[Path]:
    """Yield an empty hidden file beside a place, which is gone after the block if it is there yet.

    Args:
        place: where a file is or will be; its folder is there.

    Raises:
        OSError: it cannot be made.
    """
    remove_unlocked(place.parent.glob(f".{escape(place.name)}{UNFINISHED}*"))
    with ExitStack() as stack:
        is_ours = False
        while not is_ours:
            path = place.with_name(f".{place.name}{UNFINISHED}{uuid4().hex[:8]}")
            path.touch(exist_ok=False)
            stack.callback(path.unlink, missing_ok=True)
            # Until it is locked, another writer may take it for a leftover.
            with suppress(FileNotFoundError):
                stack.enter_context(lock(path, wait=True))
                is_ours = path.exists()
        stack.enter_context(half_written(path))
        yield path


def remove_unlocked(paths: Iterable[Path]) -> list[Path]:
    """Delete those files and folders that no process has locked, and return them."""
    removed = []
    for path in paths:
        with suppress(FileNotFoundError), lock(path) as is_ours:
            if is_ours:
                _remove(path)
                removed.append(path)
    return removed


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Lock a file or folder for the block, and yield whether that was possible."""
    if sys.platform == "win32":
        yield False
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _try_to_lock(descriptor, wait)
    finally:
        os.close(descriptor)


def _try_to_lock(descriptor: int, wait: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # another process has it, or the file system knows no locks
        return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
