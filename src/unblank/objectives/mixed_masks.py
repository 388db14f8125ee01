"""UniLM's objective, a baseline: tokens are hidden and predicted in place, under four masks.

Dong et al., 2019, "Unified language model pre-training", section 2: a third of the samples is seen
from both sides, a third as two parts of which the second is causal, and a sixth each from left to
right and from right to left. Of what is hidden, 80 % are single tokens and the rest runs of two or
three; `[MASK]`, random and kept tokens are drawn as BERT does.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unblank.examples import Example, IntArray
from unblank.objectives.context import ObjectiveContext
from unblank.objectives.masked import masked_layout, shown_tokens

__all__ = ["mixed_masks"]

MaskKind = Literal["both sides", "two parts", "left to right", "right to left"]

_KINDS: tuple[MaskKind, ...] = ("both sides", "two parts", "left to right", "right to left")
_CUMULATIVE = np.array([1 / 3, 2 / 3, 5 / 6])
_SINGLE_SHARE = 0.8
_LONGEST_RUN = 3


def mixed_layout(
    tokens: IntArray, chosen: IntArray, shown: int | IntArray, kind: MaskKind, first_part: int
) -> Example:
    """Lay out a text in which some tokens are predicted in place, from what a kind lets them see.

    Args:
        tokens: int64[N], the text ids.
        chosen: int64[C], places that are scored.
        shown: what the input has there; one id or int64[C].
        kind: what a token sees; from right to left, text and positions are reversed.
        first_part: tokens of the first of two parts.

    Returns:
        The example, of N tokens.
    """
    layout = masked_layout(tokens, chosen, shown, objective="mixed_masks")
    size = len(tokens)
    prefix_lengths = {"both sides": size, "two parts": first_part}
    order = slice(None, None, -1) if kind == "right to left" else slice(None)
    return Example(
        layout.input_ids[order].copy(),
        layout.position_ids[:, order].copy(),
        layout.labels[order].copy(),
        prefix_lengths.get(kind, 0),
        layout.objective,
    )


def mixed_masks(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Hide `int(mask_ratio * N)` tokens, at least one, and draw who sees whom.

    Args:
        tokens: int64[N], text ids, at least 3 of them; `[CLS]` and eos are never hidden.
        rng: source of randomness.
        context: options and tables.

    Returns:
        The example.
    """
    special = context.special
    kind = _KINDS[int(np.searchsorted(_CUMULATIVE, rng.random(), side="right"))]
    first_part = int(rng.integers(1, len(tokens)))
    is_open = (tokens != special.cls) & (tokens != special.eos)
    count = max(1, int(context.settings.mask_ratio * len(tokens)))
    chosen = _runs(is_open, count, rng)
    return mixed_layout(
        tokens, chosen, shown_tokens(tokens, chosen, rng, context), kind, first_part
    )


def _runs(is_open: NDArray[np.bool_], count: int, rng: np.random.Generator) -> IntArray:
    """Return int64[<= count], places of single tokens and of runs, each place once."""
    starts = rng.permutation(np.flatnonzero(is_open))
    longer = rng.integers(2, _LONGEST_RUN + 1, len(starts))
    lengths = np.where(rng.random(len(starts)) < _SINGLE_SHARE, 1, longer)
    offsets = np.arange(_LONGEST_RUN)
    places = starts[:, None] + offsets
    is_inside = np.append(is_open, np.zeros(_LONGEST_RUN, np.bool_))[places]
    drawn = places[is_inside & (offsets < lengths[:, None])]
    _, first = np.unique(drawn, return_index=True)
    return drawn[np.sort(first)][:count]
