"""How a variant differs from the first one, with both trained from the same seeds: a paired t-test.

A seed gives both models the same order of text and the same first draws, so the differences of the
seeds vary less than the numbers themselves. The test says how often chance alone would give so
large a mean difference; with three seeds only clear differences pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

__all__ = [
    "Difference",
    "paired_difference",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """What a variant has more than the first one.

    Attributes:
        mean: of the differences, one a seed.
        error: standard error of that mean; None for a single seed.
        probability: of so large a mean, either way, if there were no difference (Student's
            t-test); None for a single seed.
        seeds: how many both have.
    """

    mean: float
    error: float | None
    probability: float | None
    seeds: int


def paired_difference(values: Sequence[float], references: Sequence[float]) -> Difference:
    """Return the mean difference of pairs and its test.

    Args:
        values: of a variant, one a seed.
        references: of the first variant, for the same seeds.

    Raises:
        ValueError: no pairs, or lists of different lengths.

    Example:
        >>> found = paired_difference([3.0, 5.0, 4.0], [1.0, 2.0, 3.0])
        >>> found.mean, round(found.error, 3), round(found.probability, 3)
        (2.0, 0.577, 0.074)
    """
    if not values:
        raise ValueError("no pairs to compare: give a value and a reference for one seed at least")
    differences = [one - other for one, other in zip(values, references, strict=True)]
    mean, count = fmean(differences), len(differences)
    if count == 1:
        return Difference(mean, None, None, 1)
    error = stdev(differences) / math.sqrt(count)
    if error == 0:
        return Difference(mean, 0.0, float(mean == 0), count)
    return Difference(mean, error, two_sided_probability(mean / error, count - 1), count)


def two_sided_probability(statistic: float, degrees: int) -> float:
    """Return the probability that |t| of Student's distribution is at least |`statistic`|.

    For whole degrees of freedom it is a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4).

    Args:
        statistic: t.
        degrees: of freedom, at least 1.

    Raises:
        ValueError: fewer degrees of freedom.
    """
    if degrees < 1:
        raise ValueError(f"degrees is {degrees}: a t-test needs 1 or more")
    angle = math.atan(abs(statistic) / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    is_odd = degrees % 2
    term = cosine if is_odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(2 + is_odd, degrees, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    inside = 2 / math.pi * (angle + sine * total) if is_odd else sine * total
    return max(0.0, 1 - inside)
