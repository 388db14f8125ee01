"""Which tokens a corpus needs: counting them, and choosing how many to keep. Knows no model."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from unblank.data.bulk_encoding import encode_documents
from unblank.data.sources import TextFiles
from unblank.examples import IntArray
from unblank.progress_bars import progress_bar, track
from unblank.trimming.vocabulary import Merges

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["CorpusCounts", "choose_by_coverage", "choose_by_number", "count_tokens"]

_PASSAGE_CHARACTERS = 300
_NUM_PASSAGES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusCounts:
    """What a corpus is made of.

    Attributes:
        counts: int64[V], how often each token occurs.
        num_documents: documents read.
        passages: short passages drawn from all over the corpus, each as likely as any other.
    """

    counts: IntArray
    num_documents: int
    passages: list[str]


def count_tokens(
    texts: Iterable[str], core: "Tokenizer", num_ids: int, *, show_progress: bool = False
) -> CorpusCounts:
    """Count every token of a corpus, and draw passages of it.

    Args:
        texts: the documents.
        core: tokenizer that reads special tokens in text as text (`text_encoder`).
        num_ids: V, the highest id and one.
        show_progress: show a bar on the error stream.

    Raises:
        ValueError: there is no text.
    """
    sample = _Reservoir()
    counts = np.zeros(num_ids, dtype=np.int64)
    num_documents = 0
    with progress_bar(show=show_progress) as progress:
        documents = sample.watching(track(texts, progress, "counting tokens"))
        for ids in encode_documents(documents, core, np.dtype(np.int64)):
            counts += np.bincount(ids, minlength=num_ids)
            num_documents += 1
    if not counts.any():
        where = f" in {texts.shown_paths}" if isinstance(texts, TextFiles) else ""
        raise ValueError(f"there is no text to count tokens of{where}")
    return CorpusCounts(counts=counts, num_documents=num_documents, passages=sample.passages)


def choose_by_number(counts: IntArray, always: set[int], merges: Merges, number: int) -> set[int]:
    """Return the ids of the `number` tokens to keep: `always`, then the most frequent.

    Tokens that never occur are not taken, so the result can be smaller.

    Args:
        counts: int64[V].
        always: ids to keep at any count.
        merges: of a BPE, whose tokens need the tokens that they are merged from.
        number: tokens to keep, at least as many as `always` with its parts.

    Raises:
        ValueError: `number` is too small.
    """
    kept = _with_parts(always, merges, set())
    if number < len(kept):
        raise ValueError(
            f"keep is {number}: it must be at least {len(kept)}, for special tokens and those that "
            "spell any other word (bytes, single characters)"
        )
    for token_id in _by_frequency(counts):
        more = _with_parts([token_id], merges, kept)
        if len(kept) + len(more) <= number:
            kept |= more
    return kept


def choose_by_coverage(
    counts: IntArray, always: set[int], merges: Merges, share: float
) -> set[int]:
    """Return the fewest most frequent ids, with `always`, that make up `share` of the corpus.

    Args:
        counts: int64[V].
        always: ids to keep at any count.
        merges: of a BPE, whose tokens need the tokens that they are merged from.
        share: in (0, 1]; 1 keeps every token that occurs.
    """
    kept = _with_parts(always, merges, set())
    total, covered = int(counts.sum()), int(counts[sorted(kept)].sum())
    for token_id in _by_frequency(counts):
        if covered >= share * total:
            break
        more = _with_parts([token_id], merges, kept)
        kept |= more
        covered += int(counts[sorted(more)].sum())
    return kept


def _by_frequency(counts: IntArray) -> Iterator[int]:
    """Yield the ids that occur, the most frequent first, of equals the lower."""
    order = np.argsort(-counts, kind="stable")
    yield from order[: np.count_nonzero(counts)].tolist()


def _with_parts(token_ids: Iterable[int], merges: Merges, kept: set[int]) -> set[int]:
    """Return what is not kept yet of some tokens and all that they are merged from."""
    found: set[int] = set()
    waiting = [*token_ids]
    while waiting:
        current = waiting.pop()
        if current in kept or current in found:
            continue
        found.add(current)
        waiting += [part for pair in merges.get(current, ()) for part in pair]
    return found


class _Reservoir:
    """Passages drawn while documents stream by, each equally likely, for any number of passages."""

    def __init__(self) -> None:
        self.passages: list[str] = []
        self.num_seen = 0
        self.draw = random.Random(0)

    def watching(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the texts and draw from them."""
        for text in texts:
            for passage in _passages(text):
                self._offer(passage)
            yield text

    def _offer(self, passage: str) -> None:
        self.num_seen += 1
        if len(self.passages) < _NUM_PASSAGES:
            self.passages.append(passage)
        elif (place := self.draw.randrange(self.num_seen)) < _NUM_PASSAGES:
            self.passages[place] = passage


def _passages(text: str) -> Iterator[str]:
    """Yield the lines of a text; of a long line stretches that begin and end at white space."""
    for line in text.splitlines():
        for start in range(0, len(line), _PASSAGE_CHARACTERS):
            stretch = line[start : start + _PASSAGE_CHARACTERS]
            if start:
                stretch = stretch.partition(" ")[2] or stretch
            if start + _PASSAGE_CHARACTERS < len(line):
                stretch = stretch.rpartition(" ")[0] or stretch
            if stretch.strip():
                yield stretch
