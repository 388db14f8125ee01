"""One live run in an output folder: a lock that the system releases however the run ends.

The file that is locked stays in the folder of a run. Where the block leaves nothing beside it, as a
refused run does, it goes, and the folders that were made for it.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from unblank.atomic_folders import used_folder

__all__ = ["LOCK_NAME", "lock_folder"]

LOCK_NAME = ".lock"

_PATIENCE = 3.0
"""Seconds in which the last process of a run that was killed may still be on its way out."""


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for one run as long as the block lasts; nothing is locked on Windows.

    Args:
        folder: made if absent, and gone again if nothing is written into it.

    Raises:
        ValueError: if another run holds it, also after a moment, or there is a file in its place.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"train.output_dir {folder} is a file: give a folder")
    was_there = (folder / LOCK_NAME).exists()
    with used_folder(folder), _held(folder):
        try:
            yield
        finally:
            if not was_there:
                _remove_lone_lock(folder)


def _held(folder: Path) -> TextIO:
    """Return the locked file of a folder; closing it releases the lock."""
    ends_at = time.monotonic() + _PATIENCE
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        # Nothing is ever written into it: only the lock counts, which ends with the process.
        try:
            file = (folder / LOCK_NAME).open("a")
        except FileNotFoundError:  # its holder has just removed the folder
            continue
        if sys.platform == "win32":
            return file
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            if time.monotonic() < ends_at:
                time.sleep(0.05)
                continue
            raise ValueError(
                f"another run is writing to train.output_dir {folder}: wait for it, stop it, "
                "or choose another folder"
            ) from error
        # Its holder may have removed it meanwhile: then this lock is on a file that nobody sees.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), (folder / LOCK_NAME).stat()):
                return file
        file.close()


def _remove_lone_lock(folder: Path) -> None:
    """Remove the lock if there is nothing beside it."""
    with suppress(OSError):  # of another owner: then it stays
        if [path.name for path in folder.iterdir()] == [LOCK_NAME]:
            (folder / LOCK_NAME).unlink()
