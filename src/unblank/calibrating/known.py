"""Answers of a model beside what is right: fills, and choices of labels or candidates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.calibration.fitting import choose_fill_map, fit_temperature
from unblank.calibration.maps import FillMap, tempered

__all__ = ["Fitted", "KnownChoices", "KnownFills"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned.

    Attributes:
        form: name of the curve.
        map: for fills; None for choices.
        temperature: for choices.
        losses: held-out log-loss of every form of curve that was tried.
    """

    form: str
    map: FillMap | None = None
    temperature: float = 1.0
    losses: dict[str, float] | None = None

    def parameters(self) -> dict[str, Any]:
        """Return what is worth reading of it."""
        if self.map is None:
            return {"temperature": self.temperature}
        slots = type(self.map).__slots__
        values = {name: getattr(self.map, name) for name in slots}
        return {name: one for name, one in values.items() if isinstance(one, float)}


@dataclass(frozen=True, slots=True)
class KnownFills:
    """Fills of blanks.

    Attributes:
        keys: text of each one's record.
        log_p: log-probability of each, its end included.
        is_right: whether it is the answer.
        note: which texts were left out, and why; empty if none was.
    """

    keys: list[str]
    log_p: list[float]
    is_right: list[bool]
    note: str = ""

    def __post_init__(self) -> None:
        _require_numbers([math.isfinite(one) for one in self.log_p], "log-probabilities")

    def fit(self, numbers: Sequence[int], folds: Sequence[int]) -> Fitted:
        """Return the best curve, learned from some of them."""
        log_p = [self.log_p[number] for number in numbers]
        form, found, losses = choose_fill_map(
            log_p, [self.is_right[number] for number in numbers], folds
        )
        return Fitted(form, map=found, losses=losses)

    def confidences(self, fitted: Fitted | None) -> _Floats:
        """Return the probability of each to be right; without a curve the model's own."""
        curve = None if fitted is None else fitted.map
        return np.exp(self.log_p) if curve is None else curve(self.log_p)


@dataclass(frozen=True, slots=True)
class KnownChoices:
    """Choices between labels, or between candidates.

    Attributes:
        keys: text of each one's record.
        shares: probability of each label or candidate.
        right: indices of those that are right.
        first_alone: whether only the choice of the first one counts, and not which other wins.
        predicted: index of what the model chooses; None for the likeliest.
    """

    keys: list[str]
    shares: list[list[float]]
    right: list[tuple[int, ...]]
    first_alone: bool = False
    predicted: list[int] | None = None

    def __post_init__(self) -> None:
        _require_numbers([all(map(math.isfinite, one)) for one in self.shares], "probabilities")

    @property
    def is_right(self) -> list[bool]:
        """Whether what is chosen is right."""
        return [one in right for one, right in zip(self._chosen, self.right, strict=True)]

    def fit(self, numbers: Sequence[int], folds: Sequence[int]) -> Fitted:
        """Return the temperature, learned from some of them."""
        shares = [self.shares[number] for number in numbers]
        right = [self.right[number] for number in numbers]
        return Fitted("temperature", temperature=fit_temperature(shares, right))

    def confidences(self, fitted: Fitted | None) -> _Floats:
        """Return the probability of each to be right; without a temperature the model's own."""
        temperature = 1.0 if fitted is None else fitted.temperature
        pairs = zip(self.shares, self._chosen, strict=True)
        return np.array([self._confidence(tempered(one, temperature), n) for one, n in pairs])

    @property
    def _chosen(self) -> list[int]:
        return self.predicted or [int(np.argmax(shares)) for shares in self.shares]

    def _confidence(self, shares_L: _Floats, chosen: int) -> float:
        return float(1 - shares_L[0] if self.first_alone and chosen else shares_L[chosen])


def _require_numbers(are_numbers: Sequence[bool], what: str) -> None:
    if num_bad := are_numbers.count(False):
        raise ValueError(
            f"{num_bad} of {len(are_numbers)} {what} of the model are not finite numbers (NaN): "
            "its weights or its data type are broken; try --dtype fp32"
        )
