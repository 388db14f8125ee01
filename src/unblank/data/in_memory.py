"""A corpus of documents in memory, for a handful of texts that need no shards."""

from collections.abc import Sequence

import numpy as np

from unblank.examples import IntArray

__all__ = ["TokenLists"]


class TokenLists:
    """A corpus over lists of token ids; the same three questions as a prepared corpus answers."""

    def __init__(self, documents: Sequence[Sequence[int]]) -> None:
        self._documents = [np.asarray(document, dtype=np.int64) for document in documents]

    def __len__(self) -> int:
        return len(self._documents)

    def document_length(self, index: int) -> int:
        """Return the number of tokens of a document."""
        return len(self._documents[index])

    def tokens(self, index: int, start: int, stop: int) -> IntArray:
        """Return the tokens [start, stop) of a document, int64."""
        return self._documents[index][start:stop]
