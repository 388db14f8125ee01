"""The baseline BERT in the same stack: tokens are hidden and predicted in place, from both sides.

The whole example is Part A (`prefix_length` = T), so the model attends in both directions.
"""

import numpy as np

from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.objectives.context import ObjectiveContext

__all__ = ["masked_layout", "masked_tokens", "shown_tokens"]

_MASKED_SHARE, _RANDOM_SHARE = 0.8, 0.1


def masked_layout(
    tokens: IntArray, chosen: IntArray, shown: int | IntArray, objective: str = "masked"
) -> Example:
    """Lay out a text in which some tokens are to be predicted where they are.

    Args:
        tokens: int64[N], the text ids.
        chosen: int64[C], places that are scored.
        shown: what the input has there; one id or int64[C].
        objective: name that the example carries.

    Returns:
        The example, of N tokens; row 1 of its positions is 0.
    """
    input_ids = tokens.copy()
    input_ids[chosen] = shown
    labels = np.full(len(tokens), IGNORE_INDEX, np.int64)
    labels[chosen] = tokens[chosen]
    position_ids = np.zeros((2, len(tokens)), np.int64)
    position_ids[0] = np.arange(len(tokens))
    return Example(input_ids, position_ids, labels, len(tokens), objective)


def masked_tokens(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Choose single tokens, as BERT does: 80 % become `[MASK]`, 10 % another token, 10 % stay.

    `int(mask_ratio * N)` tokens are chosen, at least one; `[CLS]` and eos never are.

    Args:
        tokens: int64[N], text ids, at least 3 of them.
        rng: source of randomness.
        context: options and tables.

    Returns:
        The example.
    """
    special = context.special
    open_places = np.flatnonzero((tokens != special.cls) & (tokens != special.eos))
    count = max(1, int(context.settings.mask_ratio * len(tokens)))
    chosen = rng.permutation(open_places)[:count]
    return masked_layout(tokens, chosen, shown_tokens(tokens, chosen, rng, context))


def shown_tokens(
    tokens: IntArray, chosen: IntArray, rng: np.random.Generator, context: ObjectiveContext
) -> IntArray:
    """Return int64[C], what stands in place of each chosen token: `[MASK]`, another, or itself.

    Args:
        tokens: int64[N], text ids.
        chosen: int64[C], places.
        rng: source of randomness.
        context: options and tables.
    """
    fate = rng.random(len(chosen))
    others = rng.choice(context.ordinary_ids, len(chosen))
    shown = np.where(fate < _MASKED_SHARE, context.special.mask, others)
    return np.where(fate < _MASKED_SHARE + _RANDOM_SHARE, shown, tokens[chosen])
