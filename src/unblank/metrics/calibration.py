"""Whether the probabilities of predictions are as often right as they say.

Shapes: `N` predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "answered_shares",
    "brier_score",
    "calibration_error",
    "calibration_error_by_chance",
    "log_loss",
    "reliability",
]

_CLIPPED = 1e-7
"""How near to 0 and 1 a probability comes in the log-loss, which has no bound there."""


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


@dataclass(frozen=True, slots=True)
class AnsweredShare:
    """What is left if predictions below a probability are not given.

    Attributes:
        threshold: that probability.
        coverage: share of the predictions that are given, 0 to 1.
        risk: share of those that are wrong, 0 to 1.
    """

    threshold: float
    coverage: float
    risk: float


def reliability(
    probabilities: ArrayLike, is_right: ArrayLike, num_bins: int = 10
) -> list[ReliabilityBin]:
    """Return the predictions in bins of equal width; bins without any are left out.

    Args:
        probabilities: of what was predicted, 0 to 1.
        is_right: whether it was right.
        num_bins: from 0 to 1.
    """
    confidence, right = np.asarray(probabilities, float), np.asarray(is_right, float)
    places = _bins_of(confidence, num_bins)
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


def calibration_error_by_chance(
    probabilities: ArrayLike, rng: np.random.Generator, num_draws: int = 400
) -> float:
    """Return the error that perfect probabilities stay below in 95 of 100 samples of this size.

    Few predictions never fall out as often as they should, so that an error of this size says
    nothing (Broecker and Smith 2007 draw the same for the bins of a reliability diagram).

    Args:
        probabilities: of what was predicted, 0 to 1; each draw is right as often as they say.
        rng: source of randomness.
        num_draws: samples drawn.
    """
    confidence_N = np.asarray(probabilities, float)
    places_N, count = _bins_of(confidence_N, 10), len(confidence_N)
    errors = [
        # Of a bin's share, mean outcome and mean probability only their difference is left.
        np.abs(np.bincount(places_N, (rng.random(count) < confidence_N) - confidence_N)).sum()
        for _ in range(num_draws)
    ]
    return float(np.quantile(errors, 0.95)) / count


def brier_score(probabilities: ArrayLike, is_right: ArrayLike) -> float:
    """Return the mean squared difference of probability and outcome, 0 to 1 (Brier 1950)."""
    difference = np.asarray(probabilities, float) - np.asarray(is_right, float)
    return float((difference**2).mean())


def log_loss(probabilities: ArrayLike, is_right: ArrayLike) -> float:
    """Return the mean surprise at the outcomes, in nats; probabilities are kept off 0 and 1."""
    confidence = np.clip(np.asarray(probabilities, float), _CLIPPED, 1 - _CLIPPED)
    of_outcome = np.where(np.asarray(is_right, bool), confidence, 1 - confidence)
    return float(-np.log(of_outcome).mean())


def answered_shares(probabilities: ArrayLike, is_right: ArrayLike) -> list[AnsweredShare]:
    """Return risk against coverage, for every threshold that makes a difference, all first.

    Equal probabilities are given or withheld together (El-Yaniv and Wiener 2010, section 2).

    Args:
        probabilities: of what was predicted, 0 to 1, at least one.
        is_right: whether it was right.
    """
    confidence_N, right_N = np.asarray(probabilities, float), np.asarray(is_right, bool)
    order = np.argsort(-confidence_N, kind="stable")
    sorted_N, num_wrong_N = confidence_N[order], np.cumsum(~right_N[order])
    last_of_ties = np.flatnonzero(np.append(np.diff(sorted_N) != 0, True))
    total = len(sorted_N)
    return [
        AnsweredShare(
            threshold=float(sorted_N[last]),
            coverage=float((last + 1) / total),
            risk=float(num_wrong_N[last] / (last + 1)),
        )
        for last in last_of_ties[::-1]
    ]


def _bins_of(confidence_N: NDArray[np.float64], num_bins: int) -> NDArray[np.int64]:
    """Return int64[N], in which of so many bins of equal width each probability is."""
    return np.minimum((confidence_N * num_bins).astype(np.int64), num_bins - 1)
