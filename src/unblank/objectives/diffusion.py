"""Masked diffusion, a baseline: any share of the tokens is hidden, and predicted in place.

LLaDA (Nie et al., 2025, equation 3) and MDLM (Sahoo et al., 2024) hide each of N tokens with
probability t, uniform in [0, 1], and weigh the loss by 1 / t. The same loss hides k tokens, k
uniform from 1 to N, with weight N / k (LLaDA, equation 14). Here k is drawn with probability
proportional to 1 / k instead, and every hidden token counts alike: the expected loss is the same,
with as little noise, and fewer logits are computed.
"""

import numpy as np

from unblank.examples import Example, IntArray
from unblank.objectives.context import ObjectiveContext
from unblank.objectives.masked import masked_layout

__all__ = ["hidden_tokens"]


def num_hidden(most: int, rng: np.random.Generator) -> int:
    """Return a number k from 1 to `most`, with probability proportional to 1 / k.

    Args:
        most: tokens that can be hidden, at least 1.
        rng: source of randomness.
    """
    cumulative = np.cumsum(1.0 / np.arange(1, most + 1))
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")) + 1


def hidden_tokens(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Hide tokens of a text, all by `[MASK]`, with everything visible; `[CLS]` and eos stay.

    Args:
        tokens: int64[N], text ids, at least 3 of them.
        rng: source of randomness.
        context: options and tables.

    Returns:
        The example, of N tokens.
    """
    special = context.special
    open_places = np.flatnonzero((tokens != special.cls) & (tokens != special.eos))
    chosen = rng.permutation(open_places)[: num_hidden(len(open_places), rng)]
    return masked_layout(tokens, chosen, special.mask, objective="diffusion")
