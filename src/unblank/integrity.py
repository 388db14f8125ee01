"""Whether the files of a folder are still as they were written, by a record of sizes and hashes.

A checkpoint carries such a record of all its files (the manifest), a finished model one of its
weights (the provenance). This module knows files only, not what is in them.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from unblank.disk_errors import writes_to

__all__ = [
    "CHECKPOINTS_NAME",
    "MANIFEST_NAME",
    "PROVENANCE_NAME",
    "apply_umask",
    "file_facts",
    "find_damage",
    "weights_files",
    "write_at_once",
]

MANIFEST_NAME = "manifest.json"
PROVENANCE_NAME = "provenance.json"
CHECKPOINTS_NAME = "checkpoints"
"""Name of the folder of a run's checkpoints, inside the folder of its finished model."""


def file_facts(path: Path) -> dict[str, int | str]:
    """Return size and hash of a file, as they are recorded under `files`."""
    return {"size": path.stat().st_size, "sha256": _sha256(path)}


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights, in order.

    A checkpoint of a run also holds the state of its optimiser as safetensors, under other names.
    """
    named = sorted(folder.glob("model*.safetensors"))
    return named or sorted(folder.glob("*.safetensors"))


def find_damage(
    folder: Path, names: Collection[str] | None = None, record_name: str = MANIFEST_NAME
) -> str | None:
    """Return what is wrong with a folder that has a record, or None if all is as written.

    Args:
        folder: with a record; its lack is damage.
        names: files to look at; None for all that the record lists.
        record_name: JSON file with the facts of each file under `files`.
    """
    try:
        record = json.loads((folder / record_name).read_text(encoding="utf-8"))
        files = record.get("files", {})
    except (OSError, ValueError, AttributeError) as error:
        return f"{record_name} cannot be read ({type(error).__name__})"
    for name, expected in files.items():
        if names is not None and name not in names:
            continue
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != expected["size"]:
            return f"{name} has {path.stat().st_size} bytes instead of {expected['size']}"
        if _sha256(path) != expected["sha256"]:
            return f"{name} has changed since it was written"
    return None


def apply_umask(folder: Path) -> None:
    """Give a folder and all in it the permissions of files that any program makes.

    safetensors writes files, and tempfile folders, that only their owner may read.
    """
    umask = os.umask(0)
    os.umask(umask)
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)


def write_at_once(path: Path, content: str | bytes) -> None:
    """Write a file, or replace it, so that a kill or a full disk leaves the old one or the new one.

    Args:
        path: of the file; its folder is there.
        content: text is written as UTF-8.

    Raises:
        OSError: it cannot be written; the message names it and says what to do.
    """
    replacement = path.with_name(path.name + ".tmp")
    try:
        with writes_to(path), replacement.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        replacement.unlink(missing_ok=True)
        raise
    replacement.replace(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
