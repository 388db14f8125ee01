"""From the loss of a text to numbers that are read and compared: perplexity and bits a byte."""

import math
from collections.abc import Sequence

__all__ = ["bits_a_byte", "mean_loss", "perplexity"]

_LARGEST_EXPONENT = 700.0
"""Largest exponent whose power of e is still a floating-point number."""


def perplexity(loss: float, count: int) -> float:
    """Return the perplexity of a unit of text.

    Args:
        loss: summed negative log-likelihood, in nats.
        count: units (tokens, words) that it is shared by, at least one.

    Example:
        >>> round(perplexity(3 * 0.6931471805599453, 3), 6)
        2.0
    """
    return math.exp(min(loss / count, _LARGEST_EXPONENT))


def bits_a_byte(loss: float, num_bytes: int) -> float:
    """Return the bits that a byte of text costs.

    Args:
        loss: summed negative log-likelihood, in nats.
        num_bytes: bytes of the text in UTF-8, at least one.
    """
    return loss / (num_bytes * math.log(2))


def mean_loss(parts: Sequence[tuple[float, int]]) -> float:
    """Return the loss a token of texts that are known by summed loss and number of tokens."""
    return math.fsum(loss for loss, _ in parts) / sum(count for _, count in parts)
