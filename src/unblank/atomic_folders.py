"""Folders that are written and removed atomically: they are there as a whole or not at all.

What is written goes into a hidden folder beside its place, or inside of it, which is renamed as the
last step. The process that writes there holds a lock on it, which the system releases however the
process ends: what no process owns is removed at the next start.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from glob import escape
from pathlib import Path

from unblank.disk_errors import writes_to
from unblank.integrity import apply_umask
from unblank.interruption import half_written
from unblank.legacy_leftovers import legacy_leftovers
from unblank.unfinished import UNFINISHED, lock, remove_unlocked

__all__ = [
    "absent_folders",
    "new_folder",
    "put_into_folder",
    "remove_folder",
    "remove_leftovers",
    "require_new",
    "unfinished_folder",
    "used_folder",
]


def require_new(output: Path) -> None:
    """Raise FileExistsError if there is something of this name already."""
    if output.exists() or output.is_symlink():
        raise FileExistsError(f"{output} exists: choose another folder, or remove it first")


@contextmanager
def new_folder(output: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `output` if the block succeeds, else vanishes.

    Args:
        output: the folder.
        replace: put it in the place of one that is there; else that is refused.

    Raises:
        FileExistsError: `output` exists.
        OSError: it cannot be written.
    """
    output = Path(output)
    if not replace:
        require_new(output)
    with _temporary(output, output.parent) as temporary:
        yield temporary
        apply_umask(temporary)
        # A rename cannot replace a folder that is not empty.
        old = _moved_away(output) if replace else None
        try:
            temporary.rename(output)
        except OSError:
            if not replace:
                require_new(output)  # which another process has made meanwhile
            raise
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def unfinished_folder(parent: Path, name: str) -> Iterator[Path]:
    """Yield a hidden folder in another one, which is gone after the block.

    If the process is killed, `remove_leftovers` finds it.

    Args:
        parent: where it lies; it is there.
        name: of what is made in it.

    Raises:
        OSError: it cannot be made.
    """
    with ExitStack() as stack:
        with lock(parent, wait=True):
            folder = Path(tempfile.mkdtemp(prefix=f".{name}{UNFINISHED}", dir=parent))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.enter_context(lock(folder))
        stack.enter_context(half_written(folder))
        yield folder


@contextmanager
def put_into_folder(output: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files go into `output` if the block succeeds.

    They replace files of the same names there, one by one; other files stay.

    Raises:
        OSError: they cannot be written.
    """
    output = Path(output)
    with _temporary(output, output) as temporary:
        yield temporary
        apply_umask(temporary)
        for path in sorted(temporary.iterdir()):
            path.replace(output / path.name)


def remove_folder(folder: Path) -> None:
    """Delete a folder, which no longer has its name while that goes on; it may be absent."""
    shutil.rmtree(_moved_away(folder), ignore_errors=True)


@contextmanager
def used_folder(folder: Path, absent: Sequence[Path] | None = None) -> Iterator[None]:
    """Make a folder for the block; if nothing is in it afterwards, it goes again.

    So do the folders above it that were made for it. One that was there before stays.

    Args:
        folder: to make, if it is absent.
        absent: what `absent_folders` said, where several processes use one folder: whichever is
            the last to leave then removes what any of them made.

    Raises:
        OSError: it cannot be made.
    """
    made = absent_folders(folder) if absent is None else absent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in made:
            with suppress(OSError):  # one that is no longer empty stays, with those above it
                place.rmdir()


def absent_folders(folder: Path) -> list[Path]:
    """Return the folder and those above it that are not there, the innermost first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_leftovers(parent: Path, name: str = "*") -> None:
    """Delete what ended processes have left half written or half removed in a folder.

    Args:
        parent: where it lies.
        name: of the folder that it was to become, or was; a pattern.

    Warns:
        UserWarning: with the names of what was deleted.
    """
    found = [*parent.glob(f".{name}{UNFINISHED}*"), *legacy_leftovers(parent, name)]
    # Lest one is taken for a leftover that is just being made.
    with lock(parent, wait=True) if found else nullcontext():
        removed = remove_unlocked(found)
    if removed:
        warnings.warn(
            f"removed what interrupted commands left half written in {parent}: "
            f"{', '.join(path.name for path in removed[:3])}{', ...' * (len(removed) > 3)}",
            stacklevel=2,
        )


def _moved_away(folder: Path) -> Path:
    """Give a folder, if there is one, a name of which nothing is expected, and return that."""
    grave = folder.with_name(f".{folder.name}{UNFINISHED}removed")
    shutil.rmtree(grave, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder.rename(grave)
    return grave


@contextmanager
def _temporary(output: Path, parent: Path) -> Iterator[Path]:
    """Yield a temporary folder for `output`, in `parent`, which is gone after the block."""
    blocking = next((path for path in (parent, *parent.parents) if path.exists()), None)
    if blocking is not None and not blocking.is_dir():
        raise FileExistsError(f"{blocking} is a file, so {output} cannot be made in it")
    with writes_to(output), ExitStack() as stack:
        # Also after an interrupt, nothing may be left behind.
        stack.enter_context(used_folder(parent))
        remove_leftovers(parent, escape(output.name))
        yield stack.enter_context(unfinished_folder(parent, output.name))
