"""Parallel text: pairs of sentences that translate each other, as documents `source eos target`.

Each side is a prepared corpus (`shards`); a pair is put together when it is read. With `[CLS]` and
the end from the sampler it is `[CLS] source eos target eos`, as in InfoXLM. A missing side is an
error: everything behind it would be paired wrongly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unblank.data.fields import is_visible
from unblank.data.files import find_files
from unblank.data.prepared import PreparedCorpus
from unblank.data.records import is_text
from unblank.data.remote import split_entry
from unblank.data.shards import CorpusCache
from unblank.data.sources import TextFiles
from unblank.examples import IntArray
from unblank.plurals import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "PairCorpus",
    "pair_texts",
    "parse_pair_source",
    "prepare_pairs",
]

_ENDS = 3
"""Tokens around the sides of a pair: `[CLS]` and two ends."""

_PAIRS_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class PairSource:
    """Where pairs come from: two files line by line, or two fields of one file."""

    source: Path
    target: Path
    source_field: str = "text"
    target_field: str = "text"


@dataclass(slots=True)
class PairCorpus:
    """Pairs by number, as documents of a sampler; can be pickled.

    Attributes:
        source: the sentences that come first.
        target: their translations.
        eos: id that stands between the sides.
        max_length: positions of a sample; the longer side of a longer pair is cut, then both.
        num_cut: pairs that were too long.
        num_tokens: tokens of all pairs, the ids between included.
    """

    source: PreparedCorpus
    target: PreparedCorpus
    eos: int
    max_length: int
    num_cut: int = field(init=False)
    num_tokens: int = field(init=False)
    _sides: NDArray[np.int32] = field(init=False)

    def __post_init__(self) -> None:
        room = self.max_length - _ENDS
        self._sides = np.empty((2, len(self.source)), np.int32)
        self.num_cut = self.num_tokens = done = 0
        for source, target in self._lengths_in_pieces():
            self.num_cut += int((source + target > room).sum())
            first = np.minimum(source, np.maximum(room - target, room // 2))
            second = np.minimum(target, room - first)
            self._sides[:, done : done + len(source)] = first, second
            self.num_tokens += int(first.sum() + second.sum()) + len(source)
            done += len(source)

    def _lengths_in_pieces(self) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the lengths of both sides, whose shards may end at different pairs."""
        targets = self.target.lengths_in_pieces()
        target = np.zeros(0, np.int64)
        for source in self.source.lengths_in_pieces():
            while len(source):
                target = target if len(target) else next(targets)
                count = min(len(source), len(target))
                yield source[:count], target[:count]
                source, target = source[count:], target[count:]

    def lengths_in_pieces(self) -> Iterator[IntArray]:
        """Yield the tokens of each pair with the id between, int64[n], a piece after the other."""
        for start in range(0, len(self), _PAIRS_AT_ONCE):
            sides = self._sides[:, start : start + _PAIRS_AT_ONCE]
            yield sides.sum(axis=0, dtype=np.int64) + 1

    @property
    def content(self) -> str:
        """Hash of both texts, tokenizer and settings."""
        return f"{self.source.folder.name}+{self.target.folder.name}"

    def __len__(self) -> int:
        return len(self.source)

    def document_length(self, index: int) -> int:
        """Return the tokens of a pair."""
        return int(self._sides[:, index].sum()) + 1

    def tokens(self, index: int, start: int, stop: int) -> IntArray:
        """Return tokens [start, stop) of a pair, int64."""
        first, second = self._sides[:, index].tolist()
        ids = (
            self.source.tokens(index, 0, first),
            [self.eos],
            self.target.tokens(index, 0, second),
        )
        return np.concatenate(ids)[start:stop].astype(np.int64)


def parse_pair_source(entry: str) -> PairSource:
    """Return the source that an entry of `data.pairs` names.

    Args:
        entry: `SOURCE_FILE:TARGET_FILE`, or `FILE:SOURCE_FIELD:TARGET_FIELD` for files with
            fields. A file with any other ending, such as `train.en`, is plain text, a sentence a
            line.

    Raises:
        ValueError: if it is neither.
        FileNotFoundError: if a file is not there.
    """
    parts = split_entry(entry)
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(_no_pair(entry))
    if len(parts) == 2:
        return PairSource(_one_file(parts[0]), _one_file(parts[1]))
    path = _one_file(parts[0])
    if is_text(path):
        raise ValueError(f"{_no_pair(entry)}; {path} has no fields")
    return PairSource(path, path, parts[1], parts[2])


def pair_texts(entry: str) -> tuple[TextFiles, TextFiles]:
    """Return the sentences of each side; arguments and errors as for `parse_pair_source`."""
    pair = parse_pair_source(entry)
    sides = ((pair.source, pair.source_field), (pair.target, pair.target_field))
    source, target = (
        TextFiles(paths=(path,), text_field=text_field, text_unit="line")
        for path, text_field in sides
    )
    return source, target


def prepare_pairs(
    entry: str,
    tokenizer: "PreTrainedTokenizerFast",
    *,
    cache: CorpusCache,
    eos: int,
    max_length: int,
    refuse_long: bool,
) -> PairCorpus:
    """Return the pairs of one source, tokenized now or found ready from an earlier call.

    Args:
        entry: see `parse_pair_source`.
        tokenizer: a transformers tokenizer.
        cache: folder that holds prepared corpora.
        eos: id between the sides.
        max_length: positions of a sample.
        refuse_long: raise for a pair that does not fit, instead of cutting it.

    Raises:
        ValueError: if a side is missing or empty, the files have different lengths, one is broken,
            or a pair is too long; the message names file and line.
        FileNotFoundError: if a file is not there.
    """
    sides = pair_texts(entry)
    source, target = cache.prepare([(texts, 1) for texts in sides], tokenizer)
    for corpus, texts in zip((source, target), sides, strict=True):
        if corpus.report.num_empty:
            raise ValueError(_first_empty(texts))
        if corpus.report.num_short:
            num_short = corpus.report.num_short
            raise ValueError(f"{texts.shown_paths}: {counted(num_short, 'text')} without any token")
    if len(source) != len(target):
        first, second = (texts.shown_paths for texts in sides)
        raise ValueError(
            f"{first} has {counted(len(source), 'text')} and {second} has "
            f"{len(target):,}: text n of one must be the translation of text n of the other"
        )
    if refuse_long:
        _refuse_long(source, target, sides[0], max_length)
    return PairCorpus(source, target, eos, max_length)


def _refuse_long(
    source: PreparedCorpus, target: PreparedCorpus, texts: TextFiles, max_length: int
) -> None:
    lengths = source.lengths + target.lengths + _ENDS
    is_long = lengths > max_length
    if is_long.any():
        first = int(is_long.argmax())
        place, _ = next(islice(texts.placed_texts(), first, None))
        raise ValueError(
            f"{place}: the pair has {lengths[first]:,} tokens with its ends, but "
            f"data.max_length is {max_length:,} (pairs that are too long: {int(is_long.sum()):,} "
            f"of {len(lengths):,}): raise it, remove the pairs, or have them cut (--data.too-long "
            "cut)"
        )


def _no_pair(entry: str) -> str:
    return (
        f"{entry!r} is not a pair: give SOURCE_FILE:TARGET_FILE, or "
        "FILE:SOURCE_FIELD:TARGET_FIELD for a file with fields"
    )


def _one_file(entry: str) -> Path:
    files = find_files(entry, any_ending=True)
    if len(files) != 1:
        raise ValueError(f"{entry} matches {len(files)} files: name one file for each side")
    return files[0]


def _first_empty(side: TextFiles) -> str:
    (path,) = side.paths
    place = next(place for place, text in side.placed_texts() if not is_visible(text))
    field_name = "" if is_text(path) else f" (field {side.text_field!r})"
    return (
        f"{place}{field_name}: this side of the pair is empty or missing; remove the pair on both "
        "sides"
    )
