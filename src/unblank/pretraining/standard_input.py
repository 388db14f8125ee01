"""Standard input as training text: kept as a file, as text is read more than once.

The file is named by its content and lies in the folder of prepared text, so that the same input is
the same text, and a run that is continued by its recipe needs no input.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from unblank.atomic_folders import unfinished_folder
from unblank.disk_errors import writes_to
from unblank.engine.parallel import World

__all__ = ["keep_standard_input"]

_STANDARD_INPUT = "-"
_READ_AT_ONCE = 2**20


def keep_standard_input(entries: Sequence[str], folder: Path, world: World) -> tuple[str, ...]:
    """Return the entries of `data.train` with a file in place of `-`.

    Args:
        entries: of the training text.
        folder: of prepared text, in which the file is kept; it is there.
        world: processes of the run, of which the main one reads the input.

    Raises:
        ValueError: `-` stands there twice, or the input is empty.
        OSError: the file cannot be written.
    """
    if _STANDARD_INPUT not in entries:
        return tuple(entries)
    if entries.count(_STANDARD_INPUT) > 1:
        raise ValueError("data.train names standard input (-) twice: it can be read once")
    kept = world.gather(_kept(sys.stdin.buffer, folder) if world.is_main else None)[0]
    return tuple(str(kept) if entry == _STANDARD_INPUT else entry for entry in entries)


def _kept(stream: BinaryIO, folder: Path) -> Path:
    digest = hashlib.blake2b(digest_size=12)
    with writes_to(folder), unfinished_folder(folder, "standard-input") as made:
        with (made / "text").open("wb") as file:
            while piece := stream.read(_READ_AT_ONCE):
                digest.update(piece)
                file.write(piece)
            is_empty = not file.tell()
            file.flush()
            os.fsync(file.fileno())
        if is_empty:
            raise ValueError("data.train is standard input (-), which is empty: pipe text into it")
        path = folder / f"standard-input-{digest.hexdigest()}.txt"
        if not path.exists():  # a copy that is there keeps its time, by which caches know it
            (made / "text").rename(path)
        return path
