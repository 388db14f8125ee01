"""Fill-in-the-middle, a baseline: a causal model that reads prefix, suffix, middle, in this order.

Bavarian et al., 2022, "Efficient training of language models to fill in the middle", section 3,
PSM: a text is cut at two random places and its middle is moved to the end; all tokens are predicted
from those before them. Mixed with `causal`, half and half, it is the paper's rate of 0.5. `[MASK]`
stands where the middle was and the middle is a piece as a GLM writes it, so the model fills a text
with one blank under the decoding option `context uni`.
"""

import numpy as np

from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.objectives.context import ObjectiveContext
from unblank.objectives.infilling import blank_layout

__all__ = ["fill_in_the_middle"]


def middle_layout(
    tokens: IntArray, start: int, end: int, *, mask: int, sop: int, eop: int
) -> Example:
    """Lay out a text as prefix, mask, suffix, and then the middle, all of it causal.

    Args:
        tokens: int64[N], the text ids.
        start: first token of the middle.
        end: one past its last.
        mask: stands for the middle between prefix and suffix; the only token that is not predicted.
        sop: first input of the middle.
        eop: its last label.

    Returns:
        The example, of N + 2 tokens.

    Example:
        >>> text = np.array([1, 2, 3, 4, 5])
        >>> example = middle_layout(text, 1, 3, mask=70, sop=80, eop=90)
        >>> example.input_ids.tolist()
        [1, 70, 4, 5, 80, 2, 3]
        >>> example.labels.tolist()
        [-100, 4, 5, -100, 2, 3, 90]
    """
    spans = np.array([[start, end]])
    layout = blank_layout(
        tokens, spans, mask_ids=mask, sop=sop, eop=eop, objective="fill_in_the_middle"
    )
    size_a = layout.prefix_length
    labels = layout.labels.copy()
    following = layout.input_ids[1:size_a]
    # Where the middle was taken from is random: nothing can be learnt from it.
    labels[: size_a - 1] = np.where(following == mask, IGNORE_INDEX, following)
    return Example(layout.input_ids, layout.position_ids, labels, 0, layout.objective)


def fill_in_the_middle(
    tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext
) -> Example:
    """Move the part between two random places of a text to its end.

    Args:
        tokens: int64[N], text ids, at least 3 of them; `[CLS]` and eos stay where they are.
        rng: source of randomness.
        context: options and tables.

    Returns:
        The example.
    """
    special = context.special
    first = int(tokens[0] == special.cls)
    last = len(tokens) - int(tokens[-1] == special.eos)
    start, end = np.sort(rng.choice(np.arange(first, last + 1), 2, replace=False)).tolist()
    return middle_layout(tokens, start, end, mask=special.mask, sop=special.sop, eop=special.eop)
