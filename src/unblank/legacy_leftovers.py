"""What killed commands of versions up to 0.2 left half written, which had no locks.

Such a folder is known by its name, by what is in it, and by its age: nothing in it has changed for
a day. Newer leftovers are told apart by their locks (`atomic_folders`).
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["legacy_leftovers"]

_LONGEST_PAUSE = 24 * 60 * 60
"""Seconds in which a command that still runs will have written something."""
_RANDOM_NAME = re.compile(r"[a-z0-9_]{8}")
"""What `tempfile` puts at the end of a name."""
_MODEL_FILES = (".json", ".safetensors", ".txt", ".model", ".md", ".jinja")
_ONLY_OWNER = 0o700
"""Permissions of a folder that `tempfile` makes."""


def legacy_leftovers(parent: Path, name: str) -> Iterator[Path]:
    """Yield the folders that an earlier version left in another one and nobody writes any more.

    Args:
        parent: where they lie.
        name: of the folder that they were to become; a pattern.
    """
    found = [*parent.glob(f".building-{name}-*"), *parent.glob(".building-removed-*")]
    found += [folder for folder in parent.glob(f".{name}.*") if _is_half_a_model(folder)]
    yield from (folder for folder in found if folder.is_dir() and _is_left_alone(folder))


def _is_half_a_model(folder: Path) -> bool:
    """Whether a folder is one that a conversion wrote into; others may be a person's own."""
    if not _RANDOM_NAME.fullmatch(folder.name.rpartition(".")[2]) or not folder.is_dir():
        return False
    if folder.stat().st_mode & 0o777 != _ONLY_OWNER:
        return False
    return all(path.is_file() and path.suffix in _MODEL_FILES for path in folder.iterdir())


def _is_left_alone(folder: Path) -> bool:
    try:
        times = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
    except FileNotFoundError:  # finished or removed meanwhile
        return False
    return time.time() - max(times) > _LONGEST_PAUSE
