"""One error for a file that cannot be written, whichever library fails to write it.

Python's own errors name no file if a write fails half way (a full disk, a quota), safetensors and
tokenizers raise classes of their own with the system's number in the text, numpy names no number.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["write_failure", "writes_to"]

_IN_RUST = re.compile(r"\(os error (\d+)\)")
_IN_NUMPY = re.compile(r"\d+ requested and \d+ written")
"""An array of which a part was written: the disk or the quota is full."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_ADVICE = {
    **dict.fromkeys(_FULL, "make room there, or choose another folder"),
    errno.EFBIG: "files may not be that large there: raise the limit, or choose another folder",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EIO: "the disk fails: choose a folder on another one",
}
"""What to do, for the errors that mean that nothing can be written."""


class CannotWriteError(OSError):
    """A file or folder that cannot be written; the message says which, why and what to do."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(number, message)
        self.message = message

    def __str__(self) -> str:
        return self.message


@contextmanager
def writes_to(path: Path) -> Iterator[None]:
    """Name a file or folder that the block writes, if that fails.

    Raises:
        OSError: the system refuses to write; the message names `path` and says what to do.
    """
    try:
        yield
    except CannotWriteError:
        raise
    except OSError as error:
        if _IN_NUMPY.fullmatch(str(error)):
            raise write_failure(errno.ENOSPC, path) from error
        if error.errno not in _ADVICE or not _concerns(error, path):
            raise
        raise write_failure(error.errno, path) from error
    except Exception as error:
        found = _IN_RUST.search(str(error))
        if found is None:
            raise
        raise write_failure(int(found.group(1)), path) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Return whether an error may be of a path, and not of another one that is read meanwhile."""
    if error.filename is None or error.errno in _FULL:
        return True
    named, ours = Path(os.fsdecode(error.filename)).absolute(), path.absolute()
    if named in (ours, *ours.parents) or ours in named.parents:
        return True
    # Temporary ones lie beside it and have its name in theirs.
    return ours.parent in named.parents and ours.name in named.parts[len(ours.parts) - 1]


def write_failure(number: int, path: Path) -> CannotWriteError:
    """Return an error that says which file or folder cannot be written, why, and what to do.

    Args:
        number: the system's number of the error.
        path: of the file or folder.
    """
    free = ""
    existing = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    if number in _FULL and existing is not None:
        free = f" ({shutil.disk_usage(existing).free:,} bytes are free)"
    advice = f": {_ADVICE[number]}" if number in _ADVICE else ""
    return CannotWriteError(number, f"cannot write {path}: {os.strerror(number)}{free}{advice}")
