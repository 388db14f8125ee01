"""Parallel text: pairs of sentences that translate each other, as documents `source eos target`.

Each side is a prepared corpus (`shards`); a pair is put together when it is read. With `[CLS]` and
the end from the sampler it is `[CLS] source eos target eos`, as in InfoXLM. A missing side is an
error: everything behind it would be paired wrongly.
"""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unblank.data.fields import is_visible
from unblank.data.files import find_files
from unblank.data.records import is_text
from unblank.data.shards import PreparedCorpus, prepare_corpus
from unblank.data.sources import TextFiles
from unblank.examples import IntArray
from unblank.plurals import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["PairCorpus", "pair_texts", "prepare_pairs"]

_ENDS = 3
"""Tokens around the sides of a pair: `[CLS]` and two ends."""


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
        lengths: int64[number of pairs], tokens of each pair with the id between.
        num_cut: pairs that were too long.
    """

    source: PreparedCorpus
    target: PreparedCorpus
    eos: int
    max_length: int
    lengths: IntArray = field(init=False)
    num_cut: int = field(init=False)
    _sides: IntArray = field(init=False)

    def __post_init__(self) -> None:
        room = self.max_length - _ENDS
        sides = np.stack([self.source.lengths, self.target.lengths])
        self.num_cut = int((sides.sum(axis=0) > room).sum())
        first = np.minimum(sides[0], np.maximum(room - sides[1], room // 2))
        self._sides = np.stack([first, np.minimum(sides[1], room - first)])
        self.lengths = self._sides.sum(axis=0) + 1

    @property
    def num_tokens(self) -> int:
        """Tokens of all pairs, the ids between included."""
        return int(self.lengths.sum())

    @property
    def content(self) -> str:
        """Hash of both texts, tokenizer and settings."""
        return f"{self.source.folder.name}+{self.target.folder.name}"

    def __len__(self) -> int:
        return len(self.lengths)

    def document_length(self, index: int) -> int:
        """Return the tokens of a pair."""
        return int(self.lengths[index])

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
    parts = entry.split(":")
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
    cache_dir: Path,
    eos: int,
    max_length: int,
    refuse_long: bool = False,
    show_progress: bool = True,
) -> PairCorpus:
    """Return the pairs of one source, tokenised now or found ready from an earlier call.

    Args:
        entry: see `parse_pair_source`.
        tokenizer: a transformers tokenizer.
        cache_dir: folder that holds prepared corpora.
        eos: id between the sides.
        max_length: positions of a sample.
        refuse_long: raise for a pair that does not fit, instead of cutting it.
        show_progress: show bars on the error stream.

    Raises:
        ValueError: if a side is missing or empty, the files have different lengths, one is broken,
            or a pair is too long; the message names file and line.
        FileNotFoundError: if a file is not there.
    """
    sides = pair_texts(entry)
    source, target = (
        prepare_corpus(
            texts, tokenizer, cache_dir=cache_dir, min_tokens=1, show_progress=show_progress
        )
        for texts in sides
    )
    for corpus, texts in zip((source, target), sides, strict=True):
        if corpus.report.num_empty:
            raise ValueError(_first_empty(texts))
        if corpus.report.num_short:
            num_short = corpus.report.num_short
            raise ValueError(f"{texts.shown_paths}: {counted(num_short, 'text')} without any token")
    if len(source) != len(target):
        first, second = (texts.shown_paths for texts in sides)
        raise ValueError(
            f"{first} has {len(source):,} texts and {second} has {len(target):,}: text n of one "
            "must be the translation of text n of the other"
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
