"""A corpus tokenized once, read from disk: random access to every document in little memory.

A folder named by its content holds a shard: `tokens.bin` (the ids of all documents end to end),
`offsets.bin` (where each begins), `checks.bin` (a checksum of each block of `tokens.bin`) and
`manifest.json` (counts, and checksums of the others). The folder of a larger corpus has only a
manifest, which names the shards beside it. Small corpora are checked when they are opened; of
others a block is checked when it is first read. How folders are made is in `shards`.
"""

import hashlib
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.data.manifest import read_manifest, require_name
from unblank.examples import IntArray
from unblank.integrity import MANIFEST_NAME
from unblank.plurals import counted

__all__ = ["CHECKED_BYTES", "PreparedCorpus"]

CHECKED_BYTES = 2**18
"""Bytes of `tokens.bin` that have a checksum of their own."""

_CHECKED_WHEN_OPENED = 2**26
"""Bytes of `tokens.bin` up to which it is checked at once."""

_COUNTED_AT_ONCE = 2**20
"""Number of tokens or documents that are looked at at a time, to bound memory."""

_OFFSET = np.dtype(np.int64)
_CHECK = np.dtype(np.uint32)


class PreparedCorpus:
    """Documents as token ids, by number, read from disk where they are asked for.

    Pickles as the name of its folder, so that worker processes map the files themselves.

    Attributes:
        folder: where the corpus lies.
        report: what was kept and skipped when it was prepared.
        num_tokens: tokens of all documents.
        num_ids: size of the vocabulary, which no token that is read may exceed; None if unknown.
    """

    def __init__(
        self,
        folder: Path,
        *,
        num_ids: int | None = None,
        is_checked: bool = False,
        verify: bool = False,
    ) -> None:
        """Open and check a prepared corpus.

        Args:
            folder: of the corpus.
            num_ids: size of the vocabulary, if it is known.
            is_checked: whether this program has checked the tokens before.
            verify: check all tokens now, however many there are.

        Raises:
            ValueError: if a file is missing, cut or altered; the message names it.
        """
        self.folder = Path(folder)
        self.num_ids = num_ids
        manifest = read_manifest(self.folder)
        self.name = manifest.name
        """Name of the folder that it was made in; None of older versions."""
        self.report = manifest.report
        self.num_tokens = self.report.num_tokens
        beside = self.folder.absolute()  # "." has no name
        folders = [beside.with_name(name) for name in manifest.shards] or [self.folder]
        self._shards = [_Shard(one, is_checked=is_checked, verify=verify) for one in folders]
        for name, shard in zip(manifest.shards, self._shards, strict=False):
            require_name(beside.with_name(name), shard.name)
        self._ends = list(accumulate(shard.num_documents for shard in self._shards))
        num_tokens = sum(shard.num_tokens for shard in self._shards)
        if (self._ends[-1], num_tokens) != (self.report.num_kept, self.num_tokens):
            raise ValueError(
                f"{self.folder / MANIFEST_NAME} is damaged: its shards have {self._ends[-1]} "
                f"documents and {num_tokens} tokens instead of {self.report.num_kept} and "
                f"{self.num_tokens}"
            )

    def __reduce__(self) -> tuple[Callable[..., "PreparedCorpus"], tuple[Path, int | None]]:
        return (_reopened, (self.folder, self.num_ids))

    def __len__(self) -> int:
        return self._ends[-1]

    def __repr__(self) -> str:
        return (
            f"PreparedCorpus({counted(len(self), 'document')}, "
            f"{counted(self.num_tokens, 'token')}, {self.folder})"
        )

    @property
    def lengths(self) -> IntArray:
        """Tokens of each document, int64[number of documents]; see `lengths_in_pieces`."""
        return np.concatenate([*self.lengths_in_pieces(), np.zeros(0, np.int64)])

    def lengths_in_pieces(self) -> Iterator[IntArray]:
        """Yield the tokens of each document, int64[n], a piece after the other."""
        for shard in self._shards:
            yield from shard.lengths_in_pieces()

    def document_length(self, index: int) -> int:
        """Return the number of tokens of document `index`."""
        shard, place = self._find(index)
        begin, end = shard.range_of(place)
        return end - begin

    def tokens(self, index: int, start: int = 0, stop: int | None = None) -> IntArray:
        """Return tokens `start` to `stop` (exclusive; None = the end) of a document, int64[n].

        Raises:
            IndexError: if there is no such document, or it has no such tokens.
            ValueError: what is read has changed since it was written.
        """
        shard, place = self._find(index)
        begin, end = shard.range_of(place)
        stop = end - begin if stop is None else stop
        if not 0 <= start <= stop <= end - begin:
            raise IndexError(f"tokens {start}:{stop} of document {index}, which has {end - begin}")
        return self._known(shard.read(begin + start, begin + stop)).astype(np.int64)

    def count_tokens(self, num_tokens: int) -> IntArray:
        """Return how often each token occurs, int64[`num_tokens`], the size of the vocabulary.

        Raises:
            ValueError: what is read has changed since it was written.
        """
        counts = np.zeros(num_tokens, np.int64)
        for shard in self._shards:
            for start in range(0, shard.num_tokens, _COUNTED_AT_ONCE):
                stop = min(start + _COUNTED_AT_ONCE, shard.num_tokens)
                counts += np.bincount(self._known(shard.read(start, stop)), minlength=num_tokens)
        return counts

    def _known(self, tokens: NDArray[Any]) -> NDArray[Any]:
        """Return tokens, all of which the vocabulary has."""
        if self.num_ids is not None and len(tokens) and tokens.max() >= self.num_ids:
            raise ValueError(
                f"{self.folder} is damaged: it has token {tokens.max()}, but the vocabulary only "
                f"{self.num_ids} tokens"
            )
        return tokens

    def _find(self, index: int) -> "tuple[_Shard, int]":
        """Return the shard of a document, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of a corpus of {len(self)}")
        number = bisect_right(self._ends, index)
        return self._shards[number], index - (self._ends[number - 1] if number else 0)


class _Shard:
    """The files of one shard, mapped into memory."""

    def __init__(self, folder: Path, *, is_checked: bool, verify: bool) -> None:
        manifest = read_manifest(folder)
        self.name = manifest.name
        self.num_documents = manifest.report.num_kept
        self.num_tokens = manifest.report.num_tokens
        self._path = folder / "tokens.bin"
        self._offsets_path = folder / "offsets.bin"
        self._offsets = _mapped(self._offsets_path, _OFFSET, self.num_documents + 1)
        self._tokens = _mapped(self._path, manifest.dtype, self.num_tokens)
        if _hash_of(self._offsets_path, _new_checksum) != manifest.offsets_checksum:
            raise ValueError(f"{self._offsets_path} is damaged: its checksum differs")
        self._require_order()
        self._checks = self._read_checks(folder / "checks.bin", manifest.checks_checksum)
        self._is_checked = np.zeros(len(self._checks), np.bool_)
        is_small = len(self._checks) == 0 or self._tokens.nbytes <= _CHECKED_WHEN_OPENED
        if verify or (is_small and not is_checked):
            self._require_hash(manifest.tokens_sha256)
            self._is_checked[:] = True

    def range_of(self, place: int) -> tuple[int, int]:
        """Return where the tokens of a document begin and end."""
        return int(self._offsets[place]), int(self._offsets[place + 1])

    def lengths_in_pieces(self) -> Iterator[IntArray]:
        """Yield the lengths of documents; read, not mapped, as pages that are mapped stay."""
        for start in range(0, self.num_documents, _COUNTED_AT_ONCE):
            count = min(_COUNTED_AT_ONCE, self.num_documents - start) + 1
            begin = start * _OFFSET.itemsize
            offsets: IntArray = np.fromfile(self._offsets_path, _OFFSET, count=count, offset=begin)
            yield offsets[1:] - offsets[:-1]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return tokens as they lie on disk, checked; errors as for `PreparedCorpus.tokens`."""
        if len(self._is_checked) and stop > start:
            size = self._tokens.itemsize
            first, last = start * size // CHECKED_BYTES, (stop * size - 1) // CHECKED_BYTES
            if not self._is_checked[first : last + 1].all():
                self._check_blocks(first, last)
        return self._tokens[start:stop]

    def _require_order(self) -> None:
        """Raise unless the documents follow one another from the first token to the last."""
        is_ordered = all((lengths >= 0).all() for lengths in self.lengths_in_pieces())
        ends = (int(self._offsets[0]), int(self._offsets[-1]))
        if not is_ordered or ends != (0, self.num_tokens):
            raise ValueError(
                f"{self._offsets_path} is damaged: its documents overlap or lack tokens"
            )

    def _check_blocks(self, first: int, last: int) -> None:
        content = self._tokens.view(np.uint8)
        for block in range(first, last + 1):
            piece = content[block * CHECKED_BYTES : (block + 1) * CHECKED_BYTES]
            if zlib.crc32(piece.tobytes()) != self._checks[block]:
                raise ValueError(
                    f"{self._path} is damaged: it has changed since it was written, near byte "
                    f"{block * CHECKED_BYTES:,}; --data.verify prepares it again"
                )
            self._is_checked[block] = True

    def _read_checks(self, path: Path, expected: str | None) -> NDArray[np.uint32]:
        """Return the checksum of each block; older versions wrote none."""
        if expected is None:
            return np.zeros(0, _CHECK)
        num_blocks = -(-self._tokens.nbytes // CHECKED_BYTES)
        checks = np.array(_mapped(path, _CHECK, num_blocks))
        if hashlib.sha256(checks.tobytes()).hexdigest() != expected:
            raise ValueError(f"{path} is damaged: its checksum differs")
        return checks

    def _require_hash(self, expected: str | None) -> None:
        if expected is not None and _hash_of(self._path, hashlib.sha256) != expected:
            raise ValueError(f"{self._path} is damaged: its checksum differs")


def _reopened(folder: Path, num_ids: int | None) -> PreparedCorpus:
    """Open a corpus in a process of the program that has checked it."""
    return PreparedCorpus(folder, num_ids=num_ids, is_checked=True)


def _mapped(path: Path, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    expected = size * dtype.itemsize
    actual = path.stat().st_size if path.is_file() else 0
    if actual != expected or not path.is_file():
        raise ValueError(f"{path} is damaged: it has {actual} bytes instead of {expected}")
    if not size:  # which cannot be mapped
        return np.zeros(0, dtype)
    return np.memmap(path, dtype=dtype, mode="r", shape=(size,))


def _new_checksum() -> Any:
    return hashlib.blake2b(digest_size=16)


def _hash_of(path: Path, begin: Callable[[], Any]) -> str:
    with path.open("rb") as file:
        return str(hashlib.file_digest(file, begin).hexdigest())
