"""Scores of a ranking in which one candidate is right; ties are taken in random order.

A ranking is given by two counts: candidates that score higher than the right one, and candidates
that score the same, the right one included.
"""

from collections.abc import Sequence

__all__ = ["places_of", "precision_at", "reciprocal_rank"]


def places_of(scores: Sequence[float], right: int) -> tuple[int, int]:
    """Return how many candidates score higher than the right one, and how many the same.

    Args:
        scores: of all candidates.
        right: index of the right one, which counts among those of the same score.

    Example:
        >>> places_of([0.1, 0.7, 0.1], 0)
        (1, 2)
    """
    own = scores[right]
    return sum(score > own for score in scores), sum(score == own for score in scores)


def precision_at(num_taken: int, num_higher: int, num_same: int) -> float:
    """Return the probability that the right candidate is among the first ones.

    Args:
        num_taken: candidates that are looked at.
        num_higher: candidates before the right one.
        num_same: candidates at its place, itself included.

    Example:
        >>> precision_at(1, 0, 1), precision_at(1, 0, 2), precision_at(5, 5, 1)
        (1.0, 0.5, 0.0)
    """
    return min(max(num_taken - num_higher, 0) / num_same, 1.0)


def reciprocal_rank(num_higher: int, num_same: int) -> float:
    """Return the mean of 1 / rank over the ranks that the right candidate may have.

    Args:
        num_higher: candidates before it.
        num_same: candidates at its place, itself included.

    Example:
        >>> reciprocal_rank(0, 1), reciprocal_rank(0, 2)
        (1.0, 0.75)
    """
    ranks = range(num_higher + 1, num_higher + num_same + 1)
    return sum(1 / rank for rank in ranks) / num_same
