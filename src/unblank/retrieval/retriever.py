"""A model that is given the passages of an index: fills and scores with those that fit each text.

A text for which the index has nothing is answered without passages; what is left out is counted.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unblank.api import Unblank
from unblank.generation.passages import Passage, log_weights
from unblank.generation.results import FillResult, Scores
from unblank.plurals import counted
from unblank.retrieval.index import PassageIndex

__all__ = ["PassageValues", "Retriever"]

PassageValues = list[dict[str, Any]]
"""Place, share and text of each passage, best first, as values that JSON can hold."""


class Retriever:
    """A model beside an index.

    Attributes:
        identity: tells this search from others, to go on later only with the same.

    Raises:
        FileNotFoundError: there is no index.
        ValueError: it is damaged.
        ImportError: the extra `retrieval` is missing.
    """

    def __init__(self, unblank: Unblank, folder: Path, top: int) -> None:
        self._unblank = unblank
        self._index = PassageIndex(folder)
        self._top = top
        self._num_texts = self._num_without = self._num_passages = self._num_long = 0
        self.identity = [self._index.sha256, top]

    def find(self, text: str) -> list[Passage]:
        """Return the passages of a text that the model has positions for, best first."""
        found = self._index.search(text, self._top)
        kept = self._unblank.fitting_passages(text, found)
        self._num_texts += 1
        self._num_without += not kept
        self._num_passages += len(kept)
        self._num_long += len(found) - len(kept)
        return kept

    def fill(self, text: str, **options: Any) -> tuple[FillResult, PassageValues]:
        """Return a text with its blank filled, and the passages; arguments as `Unblank.fill`."""
        found = self.find(text)
        return self._unblank.fill(text, passages=found or None, **options), _values(found)

    def score(
        self, text: str, candidates: Sequence[str], **options: Any
    ) -> tuple[Scores, PassageValues]:
        """Return the scores of candidates, and the passages; arguments as `Unblank.score`."""
        found = self.find(text)
        scores = self._unblank.score(text, list(candidates), passages=found or None, **options)
        return scores, _values(found)

    def __str__(self) -> str:
        said = (
            f"{counted(self._num_passages, 'passage')} for {counted(self._num_texts, 'text')}, "
            f"none for {self._num_without}"
        )
        if self._num_long:
            said += (
                f"; {self._num_long} left out: too long for the model with their text (the index "
                f"has passage_words {self._index.passage_words}: make one with fewer)"
            )
        return said


def _values(passages: Sequence[Passage]) -> PassageValues:
    shares = log_weights(passages).exp().tolist()
    return [
        {"place": one.place, "share": share, "text": one.text}
        for one, share in zip(passages, shares, strict=True)
    ]
