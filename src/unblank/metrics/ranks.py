"""How far predicted ranks are from the right ones: pure functions of numbers from 0."""

from collections.abc import Sequence

import numpy as np

__all__ = ["mean_absolute_error", "quadratic_kappa"]


def mean_absolute_error(predicted: Sequence[int], right: Sequence[int]) -> float:
    """Return the mean distance in ranks.

    Example:
        >>> mean_absolute_error([0, 2], [1, 2])
        0.5
    """
    return float(np.abs(np.asarray(predicted) - np.asarray(right)).mean())


def quadratic_kappa(predicted: Sequence[int], right: Sequence[int]) -> float:
    """Return Cohen's kappa with quadratic weights, times 100; 0 if all ranks are the same one.

    It is 1 minus the mean squared distance, as a share of what that would be if predicted and right
    ranks were paired by chance (Cohen 1968).

    Example:
        >>> quadratic_kappa([0, 1, 2], [0, 1, 2]), quadratic_kappa([2, 0], [0, 2])
        (100.0, -100.0)
    """
    one, other = np.asarray(predicted, dtype=np.int64), np.asarray(right, dtype=np.int64)
    # The sum of the squared distances of all pairs, multiplied out: whole numbers, so it is exact.
    squares, products = np.square(one).sum() + np.square(other).sum(), one.sum() * other.sum()
    by_chance = (len(one) * squares - 2 * products) / len(one) ** 2
    if not by_chance:
        return 0.0
    return 100.0 * float(1 - np.square(one - other).mean() / by_chance)
