"""What is known of files of text without reading them again: their hashes, and what came of them.

`known_text.json` in a folder of prepared corpora has for each path its size, time of change, inode
and hash. A file that has just changed may change again within one tick of the file system's clock,
so it is not remembered before it is two seconds old (git's "racy" files).
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unblank.integrity import read_record, seal, write_atomically

__all__ = ["KnownText", "question_of"]

_NAME = "known_text.json"

_SETTLED = 2 * 10**9
"""Nanoseconds after its last change from which a file is remembered."""

_READ_AT_ONCE = 2**20

_Facts = list[int]
"""Size, time of change in nanoseconds, inode."""


class KnownText:
    """What is remembered in a folder of prepared corpora.

    Args:
        cache: the folder; None remembers nothing beyond this object.
        verify: hash every file again.
    """

    def __init__(self, cache: Path | None, *, verify: bool = False) -> None:
        self._path = None if cache is None else cache / _NAME
        self._files: dict[str, Any] = {}
        self._answers: dict[str, Any] = {}
        if not verify:
            self._files, self._answers = self._read()
        self._learnt: dict[str, list[Any]] = {}
        self._computed: dict[str, Any] = {}

    @property
    def learnt(self) -> dict[str, list[Any]]:
        """Path -> size, time, inode (or None, if it is not to be remembered) and hash."""
        return self._learnt

    def is_known(self, path: Path) -> bool:
        """Whether the hash of a file is known without reading it."""
        key = str(path.absolute())
        return key in self._learnt or self._recalled(key, _facts_of(path)) is not None

    def digest(self, path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
        """Return the blake2b hash of a file in hexadecimal digits, reading it only if need be.

        Args:
            path: of the file.
            advance: told the bytes of each piece that is read.

        Raises:
            OSError: the file cannot be read.
        """
        key = str(path.absolute())
        if key in self._learnt:
            return str(self._learnt[key][1])
        facts = _facts_of(path)
        found = self._recalled(key, facts)
        if found is None:
            is_settled = time.time_ns() - facts[1] > _SETTLED
            found = _hash_of(path, advance)
            remembered = facts if is_settled and _facts_of(path) == facts else None
        else:
            remembered = facts
        self._learnt[key] = [remembered, found]
        return found

    def learn(self, learnt: Mapping[str, list[Any]]) -> None:
        """Take over what another process has learnt in this moment."""
        self._learnt |= learnt

    def recall(self, question: str) -> Any:
        """Return what was remembered as the answer to a question, None if there is none."""
        return self._computed.get(question, self._answers.get(question))

    def remember(self, question: str, answer: Any) -> None:
        """Remember an answer that JSON can hold; the question names the hashes that it rests on."""
        self._computed[question] = answer

    def save(self) -> None:
        """Add what is new to the record; what another run has added meanwhile stays."""
        if self._path is None:
            return
        files, answers = self._read()
        new_files = {key: [*facts, found] for key, (facts, found) in self._learnt.items() if facts}
        merged = {"files": files | new_files, "answers": answers | self._computed}
        if merged != {"files": files, "answers": answers}:
            with suppress(OSError):  # what is not remembered is read again, and nothing is lost
                write_atomically(self._path, seal(merged))

    def _recalled(self, key: str, facts: _Facts) -> str | None:
        known = self._files.get(key)
        if isinstance(known, list) and known[:-1] == facts and isinstance(known[-1], str):
            return known[-1]
        return None

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return files and answers of the record; nothing if it is absent or damaged."""
        if self._path is not None:
            with suppress(ValueError, KeyError, TypeError):
                record = read_record(self._path)
                return dict(record["files"]), dict(record["answers"])
        return {}, {}


def question_of(*parts: Any) -> str:
    """Return a short name of a question, by all that its answer depends on."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12).hexdigest()


def _facts_of(path: Path) -> _Facts:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino]


def _hash_of(path: Path, advance: Callable[[int], None]) -> str:
    digest = hashlib.blake2b()
    with path.open("rb") as file:
        while piece := file.read(_READ_AT_ONCE):
            digest.update(piece)
            advance(len(piece))
    return digest.hexdigest()
