"""Autoregressive blank infilling: from text and spans to Part A, Part B, positions and labels.

`blank_layout` is the one place that lays an example out; the three objectives of GLM (token spans,
sentences, one long span) draw spans, choose the tokens that mark them, and call it.

Shapes: `N` tokens of the text, `M` spans, `A` tokens of Part A, `T` tokens of the example.
"""

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.objectives.context import ObjectiveContext
from unblank.objectives.spans import (
    document_bounds,
    middle_span,
    sample_sentences,
    sample_single_span,
    sample_token_spans,
    sentence_bounds,
    suffix_start,
)

__all__ = ["blank_layout", "document_span", "sentence_spans", "single_token_span", "token_spans"]


def blank_layout(
    tokens: IntArray,
    spans: IntArray,
    *,
    mask_ids: int | IntArray,
    sop: int | IntArray,
    eop: int,
    objective: str,
    block_positions: bool = True,
    first_position: int = 0,
    piece_position: int | None = None,
    piece_tokens: IntArray | None = None,
) -> Example:
    """Lay out a text whose spans are blanks (GLM paper, sections 2.2 and 2.2.1).

    Part A is the text with one mask for each span; Part B has, span by span in the given order,
    the input `sop span` and the labels `span eop`. Both positions of Part B hide how long a span
    is: row 0 is the place of its mask in Part A, row 1 counts 1, 2, ... inside it.

    Args:
        tokens: int64[N], the text ids.
        spans: int64[M, 2], [start, end) in `tokens`, disjoint, in the order of Part B.
        mask_ids: the mask in Part A for each span; one id, or int64[M] in the order of `spans`.
        sop: first input of each piece of Part B; one id, or int64[M] in the order of `spans`.
        eop: last label of each piece.
        objective: name that the example carries.
        block_positions: False makes row 1 constant in Part B: 1, as the original does.
        first_position: row-0 position of the first token.
        piece_position: row-0 position of all of Part B, instead of the place of the mask.
        piece_tokens: int64[N], what Part B shows as input instead of `tokens` (block mask).

    Returns:
        The example, of N + 2M tokens.

    Example:
        >>> text = np.array([1, 2, 3, 4, 5, 6])
        >>> example = blank_layout(
        ...     text, np.array([[4, 6], [2, 3]]), mask_ids=70, sop=80, eop=90, objective="token"
        ... )
        >>> example.input_ids.tolist()
        [1, 2, 70, 4, 70, 80, 5, 6, 80, 3]
        >>> example.position_ids.tolist()
        [[0, 1, 2, 3, 4, 4, 4, 4, 2, 2], [0, 0, 0, 0, 0, 1, 2, 3, 1, 2]]
        >>> example.labels.tolist()
        [-100, -100, -100, -100, -100, 5, 6, 90, 3, 90]
    """
    starts, ends = spans[:, 0], spans[:, 1]
    is_kept = _kept(len(tokens), starts, ends)
    places = np.cumsum(is_kept) + (first_position - 1)
    corrupted = tokens.copy()
    corrupted[starts] = mask_ids
    part_a = corrupted[is_kept]

    piece_lengths = ends - starts + 1
    piece_ends = np.cumsum(piece_lengths)
    piece_starts = piece_ends - piece_lengths
    size_b = int(piece_ends[-1])
    # Source of Part B position t: the text token before the one it predicts; sop overwrites the
    # first of each piece, whose source lies outside the span (or at -1, which wraps around).
    source = np.arange(size_b) + np.repeat(starts - 1 - piece_starts, piece_lengths)

    size_a = len(part_a)
    input_ids = np.empty(size_a + size_b, np.int64)
    input_ids[:size_a] = part_a
    shown = tokens if piece_tokens is None else piece_tokens
    input_ids[size_a:] = shown[source]
    input_ids[size_a + piece_starts] = sop

    labels = np.full(size_a + size_b, IGNORE_INDEX, np.int64)
    labels[size_a:-1] = tokens[source[1:]]
    labels[size_a + piece_ends - 1] = eop

    position_ids = np.zeros((2, size_a + size_b), np.int64)
    position_ids[0, :size_a] = np.arange(first_position, first_position + size_a)
    mask_places = places[starts] if piece_position is None else np.full(len(starts), piece_position)
    position_ids[0, size_a:] = np.repeat(mask_places, piece_lengths)
    inside = source - np.repeat(starts - 2, piece_lengths)
    position_ids[1, size_a:] = inside if block_positions else 1
    return Example(input_ids, position_ids, labels, size_a, objective)


def token_spans(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Mask short spans of tokens, each by one `[MASK]` (GLM paper, section 2.3).

    Args:
        tokens: int64[N], text ids, at least 3 of them.
        rng: source of randomness.
        context: options and tables.

    Returns:
        The example.
    """
    settings = context.settings
    documents = document_bounds(tokens, context.special.cls, context.special.eos)
    spans = sample_token_spans(documents, len(tokens), settings.mask_ratio, context.length_cdf, rng)
    return _short_spans(tokens, spans, rng, context, "token")


def single_token_span(
    tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext
) -> Example:
    """Mask exactly one short span; arguments as in `token_spans`."""
    documents = document_bounds(tokens, context.special.cls, context.special.eos)
    spans = sample_single_span(documents, len(tokens), context.length_cdf, rng)
    return _short_spans(tokens, spans, rng, context, "single_span")


def sentence_spans(
    tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext
) -> Example:
    """Mask whole sentences, each by one `[sMASK]`; arguments as in `token_spans`."""
    settings, special = context.settings, context.special
    documents = document_bounds(tokens, special.cls, special.eos)
    sentences = sentence_bounds(tokens, context.sentence_end, documents)
    spans = sample_sentences(
        sentences, len(tokens), settings.mask_ratio, rng, settings.sentence_limit
    )
    if not settings.shuffle_spans:
        spans = spans[np.argsort(spans[:, 0])]
    return blank_layout(
        tokens,
        spans,
        mask_ids=special.smask if settings.task_masks else special.mask,
        sop=special.sop,
        eop=special.eop,
        objective="sentence",
        block_positions=settings.block_positions,
        first_position=_first_position(len(tokens) - _masked(spans), rng, context),
    )


def document_span(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Mask one long span by `[gMASK]`; arguments as in `token_spans`.

    In the suffix form Part A ends with the mask, and the last label is the last token of the text
    itself: eos where the document ends, no end at all where the text was cut. In the infill form
    the first and the last token stay and the span closes with end-of-piece. A text that holds
    several documents always gets the suffix form.
    """
    settings, special = context.settings, context.special
    is_suffix = rng.random() < settings.document_suffix_probability
    if is_suffix or len(document_bounds(tokens, special.cls, special.eos)) > 1:
        start = suffix_start(len(tokens), settings.document_min_ratio, rng)
        text, span, end_id = tokens[:-1], np.array([[start, len(tokens) - 1]]), int(tokens[-1])
    else:
        text, span = tokens, middle_span(len(tokens), settings.document_min_ratio, rng)
        end_id = special.eop
    return blank_layout(
        text,
        span,
        mask_ids=special.gmask if settings.task_masks else special.mask,
        sop=special.sop,
        eop=end_id,
        objective="document",
        block_positions=settings.block_positions,
        first_position=_first_position(len(text) - _masked(span), rng, context),
    )


def _short_spans(
    tokens: IntArray,
    spans: IntArray,
    rng: np.random.Generator,
    context: ObjectiveContext,
    objective: str,
) -> Example:
    """Lay out token spans given in the order of the text, with the options of `context`."""
    settings, special = context.settings, context.special
    if settings.shuffle_spans and len(spans) > 1:
        spans = spans[rng.permutation(len(spans))]
    mask_ids: int | IntArray = special.mask
    sop: int | IntArray = special.sop
    if settings.sentinels:
        # As in the original, sentinels are numbered in the order of Part B.
        mask_ids = sop = np.array(special.sentinels[: len(spans)])
    piece_tokens = None
    if settings.block_mask_probability:
        is_hidden = rng.random(len(tokens)) < settings.block_mask_probability
        piece_tokens = np.where(is_hidden, special.dblock, tokens)
    return blank_layout(
        tokens,
        spans,
        mask_ids=mask_ids,
        sop=sop,
        eop=special.eop,
        objective=objective,
        block_positions=settings.block_positions,
        first_position=_first_position(len(tokens) - _masked(spans), rng, context),
        piece_position=context.max_length if settings.sentinels else None,
        piece_tokens=piece_tokens,
    )


def _kept(num_tokens: int, starts: IntArray, ends: IntArray) -> NDArray[np.bool_]:
    """Return bool[N], True where Part A keeps the token or puts the mask of a span."""
    steps = np.zeros(num_tokens + 1, np.int64)
    steps[starts + 1] += 1
    steps[ends] -= 1
    is_kept: NDArray[np.bool_] = np.cumsum(steps[:-1]) == 0
    return is_kept


def _masked(spans: IntArray) -> int:
    """Return how many tokens the spans take from Part A: each leaves one mask behind."""
    return int((spans[:, 1] - spans[:, 0] - 1).sum())


def _first_position(size_a: int, rng: np.random.Generator, context: ObjectiveContext) -> int:
    """Return 0, or with random positions a start from which Part A ends below `max_length`."""
    if not context.settings.random_positions or size_a >= context.max_length:
        return 0
    return int(rng.integers(0, context.max_length - size_a + 1))
