"""Whether the files of a folder are still as they were written, by a manifest of sizes and hashes.

Checkpoints carry such a manifest. This module knows files only, not what is in them.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

__all__ = ["MANIFEST_NAME", "file_facts", "find_damage"]

MANIFEST_NAME = "manifest.json"


def file_facts(path: Path) -> dict[str, int | str]:
    """Return size and hash of a file, as the manifest records them."""
    return {"size": path.stat().st_size, "sha256": _sha256(path)}


def find_damage(folder: Path, names: Collection[str] | None = None) -> str | None:
    """Return what is wrong with a folder that has a manifest, or None if all is as written.

    Args:
        folder: with a manifest; its lack is damage.
        names: files to look at; None is all that the manifest lists.
    """
    manifest_path = folder / MANIFEST_NAME
    try:
        files = json.loads(manifest_path.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{manifest_path.name} cannot be read ({type(error).__name__})"
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
