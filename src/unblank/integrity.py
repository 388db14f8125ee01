"""Whether the files of a folder are still as they were written, by a record of sizes and hashes.

A checkpoint carries such a record of all its files (the manifest), as a finished model does (the
provenance). A record guards itself by a checksum of its own content, which older versions did not
write. This module knows files only, not what is in them.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from os.path import isfile
from pathlib import Path
from typing import Any, BinaryIO

from unblank.disk_errors import writes_to
from unblank.unfinished import unfinished_file

__all__ = [
    "ADAPTER_RECORD_NAME",
    "CALIBRATION_NAME",
    "CARD_NAME",
    "CHECKPOINTS_NAME",
    "MANIFEST_NAME",
    "PROVENANCE_NAME",
    "SHARDED_NAME",
    "FileFacts",
    "apply_umask",
    "atomic_file",
    "digest_damage",
    "facts_of_files",
    "file_facts",
    "find_damage",
    "read_record",
    "require_sealed_text",
    "seal",
    "seal_text",
    "weights_files",
    "write_atomically",
]

MANIFEST_NAME = "manifest.json"
PROVENANCE_NAME = "provenance.json"
ADAPTER_RECORD_NAME = "adapter.json"
"""Name of the record of an adapter, in which a person may write the new path of its base model."""
CALIBRATION_NAME = "calibration.json"
"""Name of what is known of the confidence of a model, which may be learned at any time later."""
_CHECKSUM = "checksum"
_HASH = re.compile("[0-9a-f]{64}")
_TEXT_CHECKSUM = "# checksum of all lines above: "
CARD_NAME = "README.md"
"""Name of the card of a model, which belongs to the reader: no record names it."""
CHECKPOINTS_NAME = "checkpoints"
"""Name of the folder of a run's checkpoints, inside the folder of its finished model."""
SHARDED_NAME = "sharded"
"""Name of the folder of what several processes wrote, each its shards, inside a checkpoint."""


FileFacts = dict[str, int | str]
"""Size and hash of a file."""


def file_facts(path: Path) -> FileFacts:
    """Return size and hash of a file, as they are recorded under `files`."""
    return {"size": path.stat().st_size, "sha256": _sha256(path)}


def facts_of_files(folder: Path, known: Mapping[str, FileFacts] = {}) -> dict[str, FileFacts]:
    """Return name -> facts of every file below a folder but the card and the records.

    Records guard themselves, and a person may edit the card.

    Args:
        folder: the folder.
        known: facts of some files, which are not read again.
    """
    others = (CARD_NAME, MANIFEST_NAME, PROVENANCE_NAME, ADAPTER_RECORD_NAME, CALIBRATION_NAME)
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    return {
        name: known[name] if name in known else file_facts(path)
        for name, path in paths.items()
        if path.is_file() and path.name not in others
    }


def seal(
    record: Mapping[str, Any], *, editable: Collection[str] = (), readable: bool = False
) -> str:
    """Return a record as JSON, with a checksum of its content.

    Args:
        record: what JSON can hold; anything else is written as its text.
        editable: keys whose values a person may change.
        readable: write characters beyond ASCII as they are.
    """
    content = json.loads(json.dumps(record, default=str))
    sealed = content | {_CHECKSUM: _checksum(content, editable)}
    return json.dumps(sealed, indent=1, ensure_ascii=not readable) + "\n"


def seal_text(text: str) -> str:
    """Return YAML or another text with `#` comments, with a last line that is its checksum."""
    return f"{text}{_TEXT_CHECKSUM}{hashlib.sha256(text.encode()).hexdigest()}\n"


def require_sealed_text(path: Path, advice: str) -> None:
    """Raise if a text is not as `seal_text` made it; one of an older version has no checksum.

    Raises:
        ValueError: it has changed.
    """
    content = path.read_bytes()
    before, mark, checksum = content.rpartition(_TEXT_CHECKSUM.encode())
    if mark and checksum != hashlib.sha256(before).hexdigest().encode() + b"\n":
        raise ValueError(f"{path} has changed since it was written: {advice}")


def read_record(path: Path, *, editable: Collection[str] = ()) -> dict[str, Any]:
    """Return the content of a record, without its checksum.

    Args:
        path: of a record; one of an older version has no checksum, and is taken as it is.
        editable: as for `seal`.

    Raises:
        ValueError: it cannot be read, or is not as it was written; the message names it.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name} cannot be read (it is not a file)")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        found = _checksum(record, editable) if isinstance(record, dict) else None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path.name} does not hold a record")
    # Only what was sealed ends with a hash; under another name, that name is damaged.
    last = str(next(reversed(record.values()), ""))
    is_renamed = _CHECKSUM not in record and _HASH.fullmatch(last)
    if is_renamed or record.pop(_CHECKSUM, None) not in (None, found):
        raise ValueError(f"{path.name} has changed since it was written")
    return record


def digest_damage(path: Path, expected: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the beginning of a file that may have grown, or None.

    Args:
        path: of the file.
        expected: its facts from when it was shorter.
    """
    size = path.stat().st_size
    if size < expected["size"]:
        return f"it has {size} bytes instead of {expected['size']} or more"
    digest, left = hashlib.sha256(), expected["size"]
    with path.open("rb") as file:
        while left and (content := file.read(min(left, 1 << 20))):
            digest.update(content)
            left -= len(content)
    return (
        None if digest.hexdigest() == expected["sha256"] else "it has changed since it was written"
    )


def weights_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights, in order.

    A checkpoint of a run also holds the state of its optimiser as safetensors, under other names.
    """
    named = sorted(folder.glob("model*.safetensors"))
    return named or sorted(folder.glob("*.safetensors"))


def find_damage(
    folder: Path, record_name: str = MANIFEST_NAME, *, unused: Collection[str] = ()
) -> str | None:
    """Return what is wrong with a folder that has a record, or None if all is as written.

    Args:
        folder: with a record; its lack is damage.
        record_name: JSON file with the facts of each file under `files`.
        unused: names of files that nobody will read, which are not looked at; patterns.
    """
    try:
        record = read_record(folder / record_name)
    except ValueError as error:
        return str(error)
    # Not every provenance names files; a manifest is for nothing else.
    files = record.get("files", None if record_name == MANIFEST_NAME else {})
    if not isinstance(files, dict) or not all(map(_are_facts, files.values())):
        return f"{record_name} does not say which files there were"
    for name, expected in files.items():
        if any(fnmatch(name, pattern) for pattern in unused):
            continue
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            return f"{record_name} names {name[:60]!r}, which is not in its folder"
        if not isfile(path):
            return f"{name[:200]} is missing"
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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, or replace it, so that a kill or a full disk leaves the old one or the new one.

    Args:
        path: of the file; its folder is there.
        content: text is written as UTF-8.

    Raises:
        OSError: it cannot be written; the message names it and says what to do.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write into, which takes the place of another one when the block ends well.

    Args:
        path: of the file; its folder is there.

    Raises:
        OSError: as for `write_atomically`.
    """
    with writes_to(path), unfinished_file(path) as replacement:
        with replacement.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replacement.replace(path)


def _are_facts(facts: object) -> bool:
    return isinstance(facts, dict) and {"size", "sha256"} <= set(facts)


def _checksum(content: Mapping[str, Any], editable: Collection[str]) -> str:
    """Return a hash of what a record says, however it is laid out."""
    unguarded = {_CHECKSUM, *editable}
    guarded = {key: value for key, value in content.items() if key not in unguarded}
    return hashlib.sha256(json.dumps(guarded, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
