"""A cache of the hashes of text files, and of what was computed from them.

`known_text.json` in a folder of prepared corpora has for each path its size, time of change, inode
and hash. A file that has just changed may change again within one tick of the file system's clock,
so it is not cached before it is two seconds old (git's "racy" files).
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unblank.integrity import read_record, seal, write_atomically

__all__ = ["TextFileCache", "cache_key", "file_hash"]

_NAME = "known_text.json"

_SETTLED = 2 * 10**9
"""Nanoseconds after its last change from which a file is cached."""

_READ_AT_ONCE = 2**20

_Facts = list[int]
"""Size, time of change in nanoseconds, inode."""


class TextFileCache:
    """The cache in a folder of prepared corpora.

    Args:
        folder: where it is; None caches nothing beyond this object.
        verify: hash every file again.
    """

    def __init__(self, folder: Path | None, *, verify: bool = False) -> None:
        self._path = None if folder is None else folder / _NAME
        self._files: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        if not verify:
            self._files, self._values = self._read()
        self._new_hashes: dict[str, list[Any]] = {}
        self._computed: dict[str, Any] = {}

    @property
    def new_hashes(self) -> dict[str, list[Any]]:
        """Path -> size, time, inode (or None, if it is not to be cached) and hash."""
        return self._new_hashes

    def has_hash(self, path: Path) -> bool:
        """Whether the hash of a file is cached."""
        key = str(path.absolute())
        return key in self._new_hashes or self._stored_hash(key, _facts_of(path)) is not None

    def digest(self, path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
        """Return the blake2b hash of a file in hexadecimal digits, reading it only if need be.

        Args:
            path: of the file.
            advance: called with the bytes of each piece that is read.

        Raises:
            OSError: the file cannot be read.
        """
        key = str(path.absolute())
        if key in self._new_hashes:
            return str(self._new_hashes[key][1])
        facts = _facts_of(path)
        found = self._stored_hash(key, facts)
        if found is None:
            is_settled = time.time_ns() - facts[1] > _SETTLED
            found = file_hash(path, advance)
            cached = facts if is_settled and _facts_of(path) == facts else None
        else:
            cached = facts
        self._new_hashes[key] = [cached, found]
        return found

    def add_hashes(self, hashes: Mapping[str, list[Any]]) -> None:
        """Take over what another process has just hashed."""
        self._new_hashes |= hashes

    def get(self, key: str) -> Any:
        """Return the value that is cached for a key of `cache_key`, None if there is none."""
        return self._computed.get(key, self._values.get(key))

    def put(self, key: str, value: Any) -> None:
        """Cache a value that JSON can hold; its key depends on the hashes that it rests on."""
        self._computed[key] = value

    def save(self) -> None:
        """Add what is new to the record; what another run has added meanwhile stays."""
        if self._path is None:
            return
        files, values = self._read()
        new_files = {
            key: [*facts, found] for key, (facts, found) in self._new_hashes.items() if facts
        }
        merged = {"files": files | new_files, "answers": values | self._computed}
        if merged != {"files": files, "answers": values}:
            with suppress(OSError):  # what is not cached is read again, and nothing is lost
                write_atomically(self._path, seal(merged))

    def _stored_hash(self, key: str, facts: _Facts) -> str | None:
        known = self._files.get(key)
        if isinstance(known, list) and known[:-1] == facts and isinstance(known[-1], str):
            return known[-1]
        return None

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return files and values of the record; nothing if it is absent or damaged."""
        if self._path is not None:
            with suppress(ValueError, KeyError, TypeError):
                record = read_record(self._path)
                return dict(record["files"]), dict(record["answers"])
        return {}, {}


def cache_key(*parts: Any) -> str:
    """Return the key of a value, made of all that the value depends on."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12).hexdigest()


def _facts_of(path: Path) -> _Facts:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino]


def file_hash(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the blake2b hash of a file, perhaps at a URL; arguments as for `digest`."""
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while piece := file.read(_READ_AT_ONCE):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()
