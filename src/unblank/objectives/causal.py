"""The baseline GPT in the same stack: each token is predicted from those before it."""

import numpy as np

from unblank.examples import Example, IntArray
from unblank.objectives.context import ObjectiveContext

__all__ = ["causal_layout", "causal_tokens"]


def causal_layout(tokens: IntArray) -> Example:
    """Lay out a text for left-to-right prediction: no Part A, labels are the next tokens.

    Args:
        tokens: int64[N], the text ids, N >= 2.

    Returns:
        The example, of N - 1 tokens: the last token of the text is only a label.
    """
    position_ids = np.zeros((2, len(tokens) - 1), np.int64)
    position_ids[0] = np.arange(len(tokens) - 1)
    return Example(tokens[:-1].copy(), position_ids, tokens[1:].copy(), 0, "causal")


def causal_tokens(tokens: IntArray, rng: np.random.Generator, context: ObjectiveContext) -> Example:
    """Return `causal_layout(tokens)`; nothing is drawn, nothing can be set."""
    return causal_layout(tokens)
