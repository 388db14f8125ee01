"""Which documents of a training text are held out: those whose text hashes below a threshold.

The same text falls on the same side in every run and in every file, so that no copy of a held-out
document is trained on.
"""

import hashlib
import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unblank.data.drawing import shares_by_size

__all__ = ["NUM_HASHES", "HashPart", "hold_out_thresholds"]

NUM_HASHES = 2**64
"""Thresholds are shares of this."""


@dataclass(frozen=True, slots=True)
class HashPart:
    """One side of the threshold.

    Attributes:
        threshold: hashes below it are held out, 0 to 2**64.
        is_held_out: whether this is the part that is held out, or the one that is trained on.
    """

    threshold: int
    is_held_out: bool

    def has(self, text: str) -> bool:
        """Whether a document belongs to the part."""
        return (_hash(text) < self.threshold) == self.is_held_out


def hold_out_thresholds(entries: Sequence[Iterable[str]], amount: float) -> list[int]:
    """Return for each entry the threshold below which its documents are held out; 0 for none.

    Of two different documents or more at least one is held out, unless `amount` is a number that
    is used up by the other entries, and at least one stays.

    Args:
        entries: the documents of each.
        amount: below 1 the share of the documents of every entry; else the number of all, of every
            entry its share.

    Example:
        >>> hold_out_thresholds([["only one document"]], 0.5)
        [0]
    """
    found = [_look_at(documents, amount) for documents in entries]
    if amount < 1:
        return [one.threshold(max(int(amount * NUM_HASHES), one.smallest[0] + 1)) for one in found]
    counts = shares_by_size([one.count for one in found], int(amount))
    return [
        one.threshold(one.smallest[min(count, len(one.smallest)) - 1] + 1) if count else 0
        for one, count in zip(found, counts, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the hashes of an entry's documents are.

    Attributes:
        count: of documents.
        smallest: the smallest different hashes, in order, at least one.
        largest: the largest hash.
    """

    count: int
    smallest: list[int]
    largest: int

    def threshold(self, wanted: int) -> int:
        """Return a threshold as it is wanted, or lower, so that something stays."""
        return 0 if self.smallest[0] == self.largest else min(wanted, self.largest)


def _look_at(documents: Iterable[str], amount: float) -> _Entry:
    num_wanted = 1 if amount < 1 else int(amount)
    count, largest = 0, 0
    heap: list[int] = []  # of the negative hashes, so that the largest of them goes first
    kept: set[int] = set()
    for document in documents:
        number = _hash(document)
        count, largest = count + 1, max(largest, number)
        if number in kept:
            continue
        if len(heap) < num_wanted:
            heapq.heappush(heap, -number)
            kept.add(number)
        elif number < -heap[0]:
            kept.add(number)
            kept.discard(-heapq.heapreplace(heap, -number))
    return _Entry(count, sorted(kept) or [0], largest)


def _hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)
