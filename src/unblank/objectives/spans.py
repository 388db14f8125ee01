"""Which tokens are masked: samplers of spans. How they are laid out is in `infilling`.

A span is a pair [start, end) of places in the text ids; several are int64[M, 2]. Text ids are
`[CLS] document eos`, or several of these in a row; a span never holds `[CLS]` or eos unless the
sampler says so, and never reaches from one document into the next.

Rules and distributions are those of the published code (spans of GLM, section 2.3 of the paper).
"""

from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray
from unblank.plurals import counted
from unblank.tokenization.sentences import sentence_breaks

__all__ = [
    "document_bounds",
    "middle_span",
    "sample_sentences",
    "sample_single_span",
    "sample_token_spans",
    "sentence_bounds",
    "short_stretch",
    "span_length_cdf",
    "suffix_start",
]


_SHORTEST_STRETCH = 32


def span_length_cdf(mean: float, longest: int) -> NDArray[np.float64]:
    """Return P(length <= 1), ..., P(length <= longest) of Poisson(`mean`) kept to 1..`longest`.

    Args:
        mean: mean of the unrestricted distribution, above 0.
        longest: greatest length, at least 1.

    Returns:
        float64[longest], rising to exactly 1.
    """
    log_weights = np.array([k * log(mean) - lgamma(k + 1) for k in range(1, longest + 1)])
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max()))
    return np.asarray(cumulative / cumulative[-1])


def document_bounds(tokens: IntArray, cls: int, eos: int) -> IntArray:
    """Return [start, end) of each document in the text, without its `[CLS]` and its eos.

    Args:
        tokens: int64[T].
        cls: id that may open a document.
        eos: id that closes every document but perhaps the last.

    Returns:
        int64[D, 2], in order, without empty documents.
    """
    closing = np.flatnonzero(tokens == eos)
    starts = np.concatenate(([0], closing + 1))
    ends = np.concatenate((closing, [len(tokens)]))
    starts, ends = starts[starts < ends], ends[starts < ends]
    starts = starts + (tokens[starts] == cls)
    is_filled: NDArray[np.bool_] = starts < ends
    return _pairs(starts[is_filled], ends[is_filled])


def sample_token_spans(
    documents: IntArray,
    num_tokens: int,
    mask_ratio: float,
    length_cdf: NDArray[np.float64],
    rng: np.random.Generator,
) -> IntArray:
    """Return spans with at least one token between them, in the order of the text.

    Lengths are drawn until they sum to at least `int(mask_ratio * num_tokens)`, and to 1 at least;
    several documents share that number by their lengths. The last token of the text is kept. Where
    the drawn lengths do not fit in a document, its last spans are shortened or left out: such a
    short text is masked less, never skipped.

    Args:
        documents: int64[D, 2], D >= 1, from `document_bounds`.
        num_tokens: tokens of the whole text.
        mask_ratio: share of `num_tokens` to mask, in (0, 1].
        length_cdf: float64[L], from `span_length_cdf`.
        rng: source of randomness.

    Returns:
        int64[M, 2], M >= 1.

    Raises:
        ValueError: if the text holds no token that may be masked.
    """
    rooms = _rooms(documents, num_tokens)
    shares = (mask_ratio * np.append(documents[:-1, 1] + 1, num_tokens)).astype(np.int64)
    budgets = shares.copy()
    budgets[1:] -= shares[:-1]
    largest = int(np.argmax(rooms[:, 1] - rooms[:, 0]))
    budgets[largest] = max(1, budgets[largest])
    spans = [
        _place(start, end - start, _draw_lengths(budget, length_cdf, rng), rng)
        for (start, end), budget in zip(rooms.tolist(), budgets.tolist(), strict=True)
        if budget and end > start
    ]
    return np.concatenate(spans)


def sample_single_span(
    documents: IntArray,
    num_tokens: int,
    length_cdf: NDArray[np.float64],
    rng: np.random.Generator,
) -> IntArray:
    """Return exactly one token span, int64[1, 2], in a document chosen by length.

    Arguments and errors are those of `sample_token_spans`.
    """
    rooms = _rooms(documents, num_tokens)
    sizes = rooms[:, 1] - rooms[:, 0]
    chosen = np.searchsorted(np.cumsum(sizes), rng.integers(sizes.sum()), side="right")
    start, end = rooms[chosen].tolist()
    return _place(start, end - start, _draw_lengths(1, length_cdf, rng), rng)


def sentence_bounds(
    tokens: IntArray, sentence_end: NDArray[np.uint8], documents: IntArray
) -> IntArray:
    """Return [start, end) of the sentences of a text, each with the token that ends it.

    What follows the last end of a document counts as a sentence if the text breaks off there; if
    an eos follows, only when the document has no other sentence.

    Args:
        tokens: int64[T].
        sentence_end: uint8[V], from `sentence_end_flags`.
        documents: int64[D, 2], from `document_bounds`.

    Returns:
        int64[S, 2], in order; neighbours may touch.
    """
    found = []
    for start, end in documents.tolist():
        ends = start + 1 + np.flatnonzero(sentence_breaks(tokens[start:end], sentence_end))
        is_finished = len(ends) > 0 and (ends[-1] == end or end < len(tokens))
        if not is_finished:
            ends = np.append(ends, end)
        found.append(_pairs(np.append(start, ends[:-1]), ends))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def sample_sentences(
    sentences: IntArray,
    num_tokens: int,
    mask_ratio: float,
    rng: np.random.Generator,
    limit: float = 0.0,
) -> IntArray:
    """Return sentences drawn without replacement until enough tokens are masked, in drawn order.

    Args:
        sentences: int64[S, 2].
        num_tokens: tokens of the whole text.
        mask_ratio: share of `num_tokens` to reach, in (0, 1]; at least one sentence is taken, all
            of them if they do not reach it.
        rng: source of randomness.
        limit: times the asked share that may be masked; of a sentence that would exceed it, a
            random part is taken. 0 is no limit.

    Returns:
        int64[M, 2], 1 <= M <= S.

    Raises:
        ValueError: if there is no sentence.
    """
    if not len(sentences):
        raise _nothing_to_mask(num_tokens)
    drawn = rng.permutation(sentences)
    masked = np.cumsum(drawn[:, 1] - drawn[:, 0])
    budget = max(int(mask_ratio * num_tokens), 1)
    taken = drawn[: np.searchsorted(masked, budget) + 1]
    hidden = int(masked[len(taken) - 1])
    if limit and hidden > max(limit * mask_ratio * num_tokens, 1):
        start, end = taken[-1].tolist()
        length = budget - (hidden - (end - start))
        start = int(rng.integers(start, end - length + 1))
        taken[-1] = start, start + length
    return taken


def suffix_start(num_tokens: int, min_ratio: float, rng: np.random.Generator) -> int:
    """Return where a long span starts that reaches to the end of the text.

    Its length is uniform from `int(min_ratio * num_tokens)` to `num_tokens - 2`, but 2 at least.
    """
    return num_tokens - max(2, _long_length(num_tokens, min_ratio, rng))


def middle_span(num_tokens: int, min_ratio: float, rng: np.random.Generator) -> IntArray:
    """Return one long span, int64[1, 2], that leaves at least the first and last token.

    Its length is as in `suffix_start`, but may be 1; its place is uniform.
    """
    length = _long_length(num_tokens, min_ratio, rng)
    start = int(rng.integers(1, num_tokens - length))
    return np.array([[start, start + length]])


def short_stretch(
    tokens: IntArray, sentence_end: NDArray[np.uint8], rng: np.random.Generator
) -> IntArray:
    """Return `[CLS]` and a random stretch of the text, whole sentences where that is possible.

    The length is uniform from 32 to N - 2 tokens; then the start moves left to the beginning of a
    sentence, and the end to the end of one unless that would halve the stretch.

    Args:
        tokens: int64[N], starting with `[CLS]`; returned as it is if N < 34.
        sentence_end: uint8[V], from `sentence_end_flags`.
        rng: source of randomness.
    """
    num_tokens = len(tokens)
    if num_tokens < _SHORTEST_STRETCH + 2:
        return tokens
    length = int(rng.integers(_SHORTEST_STRETCH, num_tokens - 1))
    start = int(rng.integers(1, num_tokens - length + 1))
    cuts = np.concatenate(([1], 1 + np.flatnonzero(sentence_breaks(tokens, sentence_end))))
    last_cut = int(cuts[cuts <= start + length].max())
    end = last_cut if last_cut > start + length // 2 else start + length
    return np.concatenate((tokens[:1], tokens[int(cuts[cuts <= start].max()) : end]))


def _long_length(num_tokens: int, min_ratio: float, rng: np.random.Generator) -> int:
    longest = num_tokens - 2
    shortest = min(max(1, int(min_ratio * num_tokens)), longest)
    return int(rng.integers(shortest, longest + 1))


def _rooms(documents: IntArray, num_tokens: int) -> IntArray:
    """Return `documents` without the last token of the text, which token spans leave alone."""
    rooms = np.minimum(documents, num_tokens - 1)
    if not (rooms[:, 0] < rooms[:, 1]).any():
        raise _nothing_to_mask(num_tokens)
    return rooms


def _nothing_to_mask(num_tokens: int) -> ValueError:
    return ValueError(
        f"a text of {counted(num_tokens, 'token')} has none that may be masked (not [CLS], nor "
        "the end of a document, nor, for token spans, the last token): leave out texts shorter "
        "than 3 tokens"
    )


def _draw_lengths(
    budget: int, length_cdf: NDArray[np.float64], rng: np.random.Generator
) -> IntArray:
    """Draw lengths until they sum to `budget`; `budget` draws suffice, as each is at least 1."""
    lengths = np.searchsorted(length_cdf, rng.random(budget), side="right") + 1
    count = int(np.searchsorted(np.cumsum(lengths), budget)) + 1
    return rng.permutation(lengths[:count])


def _place(start: int, room: int, lengths: IntArray, rng: np.random.Generator) -> IntArray:
    """Put spans of these lengths, in this order, into `room` tokens from `start` on."""
    lengths = _shrink(lengths, room)
    count = len(lengths)
    free = room - int(lengths.sum()) - (count - 1)
    taken = np.cumsum(lengths + 1)
    starts = np.sort(rng.integers(0, free + 1, count)) + start
    starts[1:] += taken[:-1]
    return _pairs(starts, starts + lengths)


def _pairs(starts: IntArray, ends: IntArray) -> IntArray:
    return np.array((starts, ends)).T


def _shrink(lengths: IntArray, room: int) -> IntArray:
    """Return the first lengths that fit with a token between, the last one cut to what is left."""
    taken = np.cumsum(lengths + 1)
    if taken[-1] <= room + 1:
        return lengths
    fitting = int(np.searchsorted(taken, room + 1, side="right"))
    left = room - int(taken[fitting - 1]) if fitting else room
    return np.append(lengths[:fitting], left)[: fitting + (left > 0)]
