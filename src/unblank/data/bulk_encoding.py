"""Ids of many documents, in bulk: threads encode batches ahead, long documents in pieces."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from unblank.process import core_count, local_count
from unblank.unicode import require_unicode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["encode_documents"]

_BATCH_CHARACTERS = 500_000
"""Number of characters that one thread encodes at a time."""

_PIECE_CHARACTERS = 50_000
"""Longer documents are encoded in pieces of about this size, to bound memory."""

_PIECES_AT_ONCE = 10
"""Pieces whose encodings are in memory together, which take some twenty bytes a character."""

_CUT = re.compile(r"(?<=\w)(?=\s\w)")
"""The place before a single white space between words, where no tokenizer joins both sides."""


def encode_documents(
    documents: Iterable[str],
    core: "Tokenizer",
    dtype: np.dtype[Any],
    num_threads: int | None = None,
) -> Iterator[NDArray[Any]]:
    """Yield the ids of each document in order; threads work ahead by two batches each.

    Threads do, as the tokenizer works outside Python's lock; they need no second copy of it and
    no guarded main module, as processes would.

    Args:
        documents: texts, read no further ahead than the threads need.
        core: tokenizer, as `text_encoder` gives it.
        dtype: of the ids.
        num_threads: None for one per core, of which processes of one machine have their shares.
    """
    num_threads = num_threads or max(1, core_count() // local_count())
    with ThreadPoolExecutor(num_threads) as pool:
        pending: deque[Future[list[NDArray[Any]]]] = deque()
        for batch in _batches(documents):
            pending.append(pool.submit(_encode_batch, core, batch, dtype))
            # Bounds the text in memory. The oldest batch is awaited, which keeps the order.
            if len(pending) > 2 * num_threads:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _batches(documents: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    num_characters = 0
    for document in documents:
        batch.append(document)
        num_characters += len(document)
        if num_characters >= _BATCH_CHARACTERS:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch


def _encode_batch(core: "Tokenizer", batch: list[str], dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    encoded: list[NDArray[Any]] = []
    for document in batch:
        require_unicode(document, "a document")
        pieces = _pieces(document)
        ids: list[NDArray[Any]] = []
        while some := list(islice(pieces, _PIECES_AT_ONCE)):
            found = core.encode_batch_fast(some, add_special_tokens=False)
            ids += [np.array(piece.ids, dtype=dtype) for piece in found]
        encoded.append(np.concatenate(ids))
    return encoded


def _pieces(document: str) -> Iterator[str]:
    start = 0
    while len(document) - start > _PIECE_CHARACTERS:
        cut = _CUT.search(document, start + _PIECE_CHARACTERS)
        if cut is None:
            break
        yield document[start : cut.start()]
        start = cut.start()
    yield document[start:]
