"""Whether the probabilities of predictions are as often right as they say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["calibration_error", "reliability"]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of similar probability.

    Attributes:
        low: least probability of the bin.
        high: greatest one.
        count: predictions in it.
        confidence: their mean probability, 0 to 1.
        accuracy: share of them that is right, 0 to 1.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(
    probabilities: Sequence[float], is_right: Sequence[bool], num_bins: int = 10
) -> list[ReliabilityBin]:
    """Return the predictions in bins of equal width; bins without any are left out.

    Args:
        probabilities: of what was predicted, 0 to 1.
        is_right: whether it was right.
        num_bins: from 0 to 1.
    """
    confidence, right = np.asarray(probabilities, float), np.asarray(is_right, float)
    places = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    bins = []
    for number in range(num_bins):
        chosen = places == number
        if chosen.any():
            low, high = number / num_bins, (number + 1) / num_bins
            means = float(confidence[chosen].mean()), float(right[chosen].mean())
            bins.append(ReliabilityBin(low, high, int(chosen.sum()), *means))
    return bins


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error, 0 to 1 (Guo et al. 2017, equation 3).

    Args:
        bins: of `reliability`, at least one.
    """
    total = sum(one.count for one in bins)
    return sum(one.count / total * abs(one.accuracy - one.confidence) for one in bins)
