"""Calibration maps: from a log-probability to the probability of being right; pure functions.

For the labels of a task, one temperature; for a fill, a curve over its log-probability, in one of
three forms. The parameters are found in `fitting`.

Shapes: `N` answers, `L` labels or candidates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["FillMap", "JointTemperature", "Logistic", "RisingLine", "tempered"]

_SMALLEST = 1e-38
"""Probability below which a label counts as this probable."""


@dataclass(frozen=True, slots=True)
class JointTemperature:
    """The probability of the whole fill, to the power 1 / temperature."""

    temperature: float

    def __call__(self, log_p_N: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of being right from natural log-probabilities."""
        scaled: NDArray[np.float64] = np.exp(np.minimum(_floats(log_p_N), 0) / self.temperature)
        return scaled

    def __post_init__(self) -> None:
        _require(0 < self.temperature < np.inf, self)


@dataclass(frozen=True, slots=True)
class Logistic:
    """A logistic curve over the log-probability of the fill (Platt 1999)."""

    slope: float
    intercept: float

    def __call__(self, log_p_N: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of being right from natural log-probabilities."""
        logit = np.clip(self.slope * _floats(log_p_N) + self.intercept, -500, 500)
        curve: NDArray[np.float64] = 1 / (1 + np.exp(-logit))
        return curve

    def __post_init__(self) -> None:
        _require(bool(np.isfinite([self.slope, self.intercept]).all()), self)


@dataclass(frozen=True, slots=True)
class RisingLine:
    """Straight lines between knots that never fall: isotonic regression (Zadrozny, Elkan 2002).

    Attributes:
        log_probabilities: of the knots, in order.
        confidences: probability of being right there, in order; beyond the ends it stays.
    """

    log_probabilities: tuple[float, ...]
    confidences: tuple[float, ...]

    def __call__(self, log_p_N: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of being right from natural log-probabilities."""
        line: NDArray[np.float64] = np.interp(
            _floats(log_p_N), self.log_probabilities, self.confidences
        )
        return line

    def __post_init__(self) -> None:
        x, y = np.asarray(self.log_probabilities, float), np.asarray(self.confidences, float)
        is_whole = 0 < len(x) == len(y) and bool(np.isfinite(x).all() and np.isfinite(y).all())
        rises = is_whole and bool((np.diff(x) > 0).all() and (np.diff(y) >= 0).all())
        _require(rises and y[0] >= 0 and y[-1] <= 1, self)


FillMap = JointTemperature | Logistic | RisingLine
"""From the log-probability of a fill, its end included, to the probability that it is right."""


def tempered(probabilities_L: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Return probabilities to the power 1 / temperature, summing to 1 (Guo et al. 2017, eq. 9).

    Args:
        probabilities_L: float[..., L] of labels or candidates, summing to 1.
        temperature: above 1 evens them out, below 1 sharpens them; the order stays.

    Example:
        >>> tempered([0.8, 0.2], 2.0).round(3).tolist()
        [0.667, 0.333]
    """
    scaled = np.log(np.maximum(_floats(probabilities_L), _SMALLEST)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = scaled / scaled.sum(axis=-1, keepdims=True)
    return shares


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64)


def _require(is_possible: bool, found: Any) -> None:
    if not is_possible:
        raise ValueError(f"{type(found).__name__} has impossible parameters")
