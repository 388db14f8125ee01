"""A model's answers beside the right ones: fills, and choices of labels or candidates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unblank.calibrating.thresholds import LabelledSets
from unblank.calibration.fitting import choose_fill_map, fit_temperature
from unblank.calibration.maps import FillMap, tempered
from unblank.prompting.predicting import middle_index

__all__ = ["Fitted", "LabelledChoices", "LabelledFills"]

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned.

    Attributes:
        form: name of the curve.
        map: for fills; None for choices.
        temperature: for choices.
        losses: held-out log-loss of every form of curve that was tried.
        abstain_below: threshold of fills and labels, if one was asked for.
        thresholds: of labels of which several may apply.
    """

    form: str
    map: FillMap | None = None
    temperature: float = 1.0
    losses: dict[str, float] | None = None
    abstain_below: float | None = None
    thresholds: dict[str, float] = field(default_factory=dict)

    def parameters(self) -> dict[str, Any]:
        """Return what is worth reading of it."""
        if self.map is None:
            return {"temperature": self.temperature}
        slots = type(self.map).__slots__
        values = {name: getattr(self.map, name) for name in slots}
        return {name: one for name, one in values.items() if isinstance(one, float)}


@dataclass(frozen=True, slots=True)
class LabelledFills:
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

    def given(self, fitted: Fitted) -> tuple[_Floats, list[bool]]:
        """Return the calibrated probability of each answer, and whether it is right."""
        return self.confidences(fitted), self.is_right


@dataclass(frozen=True, slots=True)
class LabelledChoices:
    """Choices between labels, or between candidates.

    Attributes:
        keys: text of each one's record.
        shares: probability of each label or candidate.
        right: indices of those that are right.
        first_alone: whether only the choice of the first one counts, and not which other wins.
        in_order: whether the labels have an order, so that the one in the middle is given.
        labels: where several may apply, the label of each choice: whether it does or not.
    """

    keys: list[str]
    shares: list[list[float]]
    right: list[tuple[int, ...]]
    first_alone: bool = False
    in_order: bool = False
    labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        _require_numbers([all(map(math.isfinite, one)) for one in self.shares], "probabilities")

    @property
    def is_right(self) -> list[bool]:
        """Whether the likeliest is right."""
        pairs = zip(self.shares, self.right, strict=True)
        return [int(np.argmax(shares)) in right for shares, right in pairs]

    def fit(self, numbers: Sequence[int], folds: Sequence[int]) -> Fitted:
        """Return the temperature, learned from some of them."""
        shares = [self.shares[number] for number in numbers]
        right = [self.right[number] for number in numbers]
        return Fitted("temperature", temperature=fit_temperature(shares, right))

    def confidences(self, fitted: Fitted | None) -> _Floats:
        """Return the probability of each to be right; without a temperature the model's own."""
        temperature = 1.0 if fitted is None else fitted.temperature
        return np.array([self._confidence(tempered(one, temperature)) for one in self.shares])

    def given(self, fitted: Fitted) -> tuple[_Floats, list[bool]]:
        """Return the calibrated probability of each answer as it is given, and whether it is right.

        That of labels in an order is the one in the middle, which depends on the temperature.
        """
        if not self.in_order:
            return self.confidences(fitted), self.is_right
        shares = [tempered(one, fitted.temperature) for one in self.shares]
        middle = [middle_index(one) for one in shares]
        pairs = zip(middle, self.right, strict=True)
        confidences = [one[index] for one, index in zip(shares, middle, strict=True)]
        return np.array(confidences), [index in right for index, right in pairs]

    def sets(self, fitted: Fitted, numbers: Sequence[int]) -> LabelledSets:
        """Return some of the calibrated choices of which several may apply."""
        tempered_NL = [tempered(self.shares[number], fitted.temperature) for number in numbers]
        return LabelledSets(
            [self.labels[number] for number in numbers],
            [float(one[0]) for one in tempered_NL],
            [self.right[number] == (0,) for number in numbers],
        )

    def _confidence(self, shares_L: _Floats) -> float:
        if self.first_alone and shares_L.argmax():
            return float(1 - shares_L[0])
        return float(shares_L.max())


def _require_numbers(are_numbers: Sequence[bool], what: str) -> None:
    if num_bad := are_numbers.count(False):
        raise ValueError(
            f"{num_bad} of {len(are_numbers)} {what} of the model are not finite numbers (NaN): "
            "its weights or its data type are broken; try --dtype fp32"
        )
