"""How a shard of a corpus is written: its documents as token ids, with their checksums.

The files are described in `prepared`, which reads them.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unblank.data.bulk_encoding import encode_documents
from unblank.data.manifest import FORMAT_VERSION, CorpusReport
from unblank.data.prepared import CHECKED_BYTES
from unblank.data.sources import TextFiles
from unblank.integrity import MANIFEST_NAME, seal

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Shard", "num_ids", "write_file", "write_shard"]

_OFFSETS_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard that a corpus consists of."""

    name: str
    texts: TextFiles
    min_tokens: int


def write_shard(
    building: Path,
    documents: Iterable[str],
    shard: Shard,
    core: "Tokenizer",
    num_threads: int | None,
) -> None:
    """Tokenize the documents of a shard into a folder.

    Args:
        building: the folder, empty.
        documents: of the shard; once all are read, its texts know how many were empty.
        shard: what it consists of, and its name.
        core: the tokenizer.
        num_threads: that tokenize; None shares out the cores.

    Raises:
        ValueError: a file is broken.
        OSError: a file cannot be read, or the folder cannot be written.
    """
    # Half the disk and half the page cache where the vocabulary allows it.
    dtype = np.dtype(np.uint16 if num_ids(core) <= 2**16 else np.uint32)
    tokens, offsets = _Tokens(building / "tokens.bin"), _Offsets(building / "offsets.bin")
    unknown_id = _unknown_id(core)
    num_short = num_unknown = 0
    with tokens, offsets:
        for ids in encode_documents(documents, core, dtype, num_threads):
            if len(ids) < shard.min_tokens:
                num_short += 1
                continue
            offsets.add(len(ids))
            tokens.add(ids.tobytes())
            num_unknown += 0 if unknown_id is None else int((ids == unknown_id).sum())
    texts = shard.texts
    report = CorpusReport(
        num_read=texts.num_documents + texts.num_empty,
        num_empty=texts.num_empty,
        num_short=num_short,
        num_kept=offsets.num_documents,
        num_tokens=offsets.num_tokens,
        min_tokens=shard.min_tokens,
        num_unknown=num_unknown,
    )
    checks = np.array(tokens.checks, np.uint32).tobytes()
    manifest = {
        "format_version": FORMAT_VERSION,
        "name": shard.name,
        "dtype": dtype.name,
        "offsets_checksum": offsets.checksum,
        "tokens_sha256": tokens.sha256,
        "checks_sha256": hashlib.sha256(checks).hexdigest(),
        "report": asdict(report),
        "sources": [str(path) for path in texts.paths],
    }
    write_file(building / "checks.bin", checks)
    write_file(building / MANIFEST_NAME, seal(manifest).encode())


def num_ids(core: "Tokenizer") -> int:
    """Return the size of the vocabulary, which no id reaches."""
    return max(core.get_vocab().values()) + 1


def _unknown_id(core: "Tokenizer") -> int | None:
    """Return the id that stands for what the tokenizer has no token for, if there is one."""
    model = json.loads(core.to_str())["model"]
    if model["type"] == "Unigram":
        unk_id: int | None = model.get("unk_id")  # in no text where bytes spell all
        return unk_id
    return core.token_to_id(model["unk_token"]) if model.get("unk_token") else None


class _Tokens:
    """`tokens.bin` as it grows, with its hash and the checksum of each block."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._num_bytes = 0
        self.checks: list[int] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                _flush_to_disk(self._file)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, content: bytes) -> None:
        self._digest.update(content)
        self._file.write(content)
        start = 0
        while start < len(content):
            room = CHECKED_BYTES - self._num_bytes % CHECKED_BYTES
            if room == CHECKED_BYTES:
                self.checks.append(0)
            piece = content[start : start + room]
            self.checks[-1] = zlib.crc32(piece, self.checks[-1])
            self._num_bytes += len(piece)
            start += len(piece)


class _Offsets:
    """`offsets.bin` as it grows, with its checksum; a few of them are in memory."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.blake2b(digest_size=16)
        self._pending = [0]
        self.num_documents = 0
        self.num_tokens = 0

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._flush()
                _flush_to_disk(self._file)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()

    def add(self, length: int) -> None:
        self.num_documents += 1
        self.num_tokens += length
        self._pending.append(self.num_tokens)
        if len(self._pending) == _OFFSETS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        content = np.array(self._pending, np.int64).tobytes()
        self._digest.update(content)
        self._file.write(content)
        self._pending.clear()


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(content)
        _flush_to_disk(file)


def _flush_to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
