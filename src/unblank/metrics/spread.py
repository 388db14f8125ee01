"""How much a score would vary with another sample of the same size: standard errors."""

from collections.abc import Callable, Sequence
from math import hypot
from statistics import fmean
from typing import TypeVar

import numpy as np

__all__ = ["bootstrap_error", "bootstrap_errors", "mean_and_error", "mean_error"]

Item = TypeVar("Item")

NUM_DRAWS = 200


def mean_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean of independent values; None for a single one."""
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def mean_and_error(values: Sequence[tuple[float, float | None]]) -> tuple[float, float | None]:
    """Return the mean of independent values and its standard error; None if one is not known."""
    errors = [error for _, error in values if error is not None]
    is_known = len(errors) == len(values)
    mean = fmean(value for value, _ in values)
    return mean, hypot(*errors) / len(errors) if is_known else None


def bootstrap_error(
    metric: Callable[[list[Item]], float], items: Sequence[Item], seed: int = 0
) -> float | None:
    """Return the standard error of any metric; see `bootstrap_errors`."""
    return bootstrap_errors(lambda drawn: [metric(drawn)], items, seed)[0]


def bootstrap_errors(
    metrics: Callable[[list[Item]], Sequence[float]], items: Sequence[Item], seed: int = 0
) -> list[float | None]:
    """Return the standard errors of metrics: their spread over samples drawn with replacement.

    A single item says nothing of its spread: None for each metric.

    Args:
        metrics: values of a list of items.
        items: what is drawn: whole questions where answers belong together.
        seed: of the draws.
    """
    if len(items) < 2:
        return [None for _ in metrics(list(items))]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(items), size=(NUM_DRAWS, len(items)))
    values = [metrics([items[index] for index in draw]) for draw in draws.tolist()]
    errors: list[float | None] = np.std(values, axis=0, ddof=1).tolist()
    return errors
