"""One live run in an output folder: a lock that the system releases however the run ends.

The lock is on a file that stays in the folder, as removing it would let two runs lock two files of
the same name.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["lock_folder"]

LOCK_NAME = ".lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a folder for one run as long as the block lasts; nothing is locked on Windows.

    Args:
        folder: made if absent.

    Raises:
        ValueError: if another run holds it, or there is a file in its place.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"train.output_dir {folder} is a file: give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    # Nothing is ever written into it: only the lock counts, which ends with the process.
    with (folder / LOCK_NAME).open("a") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(
                    f"another run is writing to train.output_dir {folder}: wait for it, stop it, "
                    "or choose another folder"
                ) from error
        yield
