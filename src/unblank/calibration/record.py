"""`calibration.json` in a model's folder: what was learned of its answers, and for which weights.

It guards itself by a checksum, and is refused beside other weights than those it was learned from.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unblank.calibration.maps import FillMap, JointTemperature, Logistic, RisingLine
from unblank.integrity import CALIBRATION_NAME, read_record, seal, write_atomically
from unblank.plurals import counted
from unblank.terminal_text import printable_line

__all__ = [
    "CalibratedOn",
    "Calibration",
    "FillCalibration",
    "LabelCalibration",
    "calibration_left",
    "read_calibration",
]

_MAPS: Mapping[str, type[FillMap]] = {
    "isotonic": RisingLine,
    "platt": Logistic,
    "temperature": JointTemperature,
}
"""Name of a form of curve in the file -> its class."""

_ADVICE = "calibrate it again, remove that file, or turn calibration off"


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedOn:
    """What a calibration was learned from.

    Attributes:
        file: name of the file, without its folder.
        num_fitted: answers that it was fitted to.
        num_measured: other answers on which it was measured.
        error_before: expected calibration error of those, 0 to 1, without it.
        error_after: the same with it.
    """

    file: str
    num_fitted: int
    num_measured: int
    error_before: float
    error_after: float

    def __str__(self) -> str:
        name = printable_line(self.file)
        return f"calibrated on {counted(self.num_fitted, 'example')} of {name}"

    def __post_init__(self) -> None:
        counts, errors = (self.num_fitted, self.num_measured), (self.error_before, self.error_after)
        are_counts = all(type(one) is int and 0 < one < 2**63 for one in counts)
        is_whole = isinstance(self.file, str) and are_counts
        if not is_whole or not all(0 <= one <= 1 for one in errors):
            raise ValueError("it does not say what it was learned from")


@dataclass(frozen=True, slots=True)
class FillCalibration:
    """How sure a model's fills are.

    Attributes:
        map: from the log-probability of a fill to the probability that it is right.
        source: what it was learned from.
        abstain_below: probability of being right below which a fill is not relied on; None if no
            threshold was asked for.
    """

    map: FillMap
    source: CalibratedOn
    abstain_below: float | None = None

    def __post_init__(self) -> None:
        _require_thresholds(self.abstain_below)

    def confidence(self, log_probability: float) -> float:
        """Return the probability that a fill is right, by its log-probability with its end."""
        return float(self.map(log_probability))


@dataclass(frozen=True, slots=True)
class LabelCalibration:
    """How sure a model's labels of one task are.

    Attributes:
        temperature: of the labels' probabilities.
        asked: how the model was asked; asked otherwise, the temperature says nothing.
        source: what it was learned from.
        abstain_below: probability below which no label is given; None if no threshold was asked
            for.
        thresholds: of labels of which several may apply, the probability from which each does.
    """

    temperature: float
    asked: Mapping[str, Any]
    source: CalibratedOn
    abstain_below: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require_thresholds(self.abstain_below, *self.thresholds.values())
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"the temperature is {self.temperature}")

    def difference(self, asked: Mapping[str, Any]) -> str:
        """Return what is asked otherwise than in calibrating, for a message; empty if nothing."""
        names = [
            name for name in {**self.asked, **asked} if self.asked.get(name) != asked.get(name)
        ]
        return ", ".join(names)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The content of `calibration.json`.

    Attributes:
        weights: identity of the weights that it belongs to.
        fills: of blanks; None if they were not calibrated.
        labels: of tasks by their names.
        candidates: of `unblank score`; None if they were not calibrated.
    """

    weights: str
    fills: FillCalibration | None = None
    labels: Mapping[str, LabelCalibration] = field(default_factory=dict)
    candidates: LabelCalibration | None = None

    def write(self, folder: Path) -> None:
        """Write it into a folder, in the place of one that is there."""
        record: dict[str, Any] = {"weights": self.weights}
        if self.fills is not None:
            kinds = {kind: name for name, kind in _MAPS.items()}
            record["fills"] = {
                "form": kinds[type(self.fills.map)],
                "parameters": asdict(self.fills.map),
                "source": asdict(self.fills.source),
                "abstain_below": self.fills.abstain_below,
            }
        if self.labels:
            record["labels"] = {name: asdict(one) for name, one in self.labels.items()}
        if self.candidates is not None:
            record["candidates"] = asdict(self.candidates)
        write_atomically(folder / CALIBRATION_NAME, seal(record, readable=True))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, by which two can be compared."""
        return asdict(self)


def read_calibration(folder: Path, weights: str) -> Calibration | None:
    """Return the calibration in a folder; None if there is none.

    Args:
        folder: of a model or an adapter.
        weights: identity of its weights.

    Raises:
        ValueError: it is damaged, or belongs to other weights.
    """
    path = folder / CALIBRATION_NAME
    if not path.is_file():
        return None
    try:
        found = _calibration(read_record(path))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged ({error}): {_ADVICE}") from error
    if found.weights != weights:
        raise ValueError(
            f"{path} was learned from other weights than those in {folder}, so it says nothing "
            f"about them: {_ADVICE}"
        )
    return found


def calibration_left(folder: Path, output: Path) -> str:
    """Return a note that a new model is not calibrated as that it was made from; empty if none is.

    Args:
        folder: of the model or adapter that it was made from.
        output: of the new one, whose weights are others.
    """
    if not (folder / CALIBRATION_NAME).is_file():
        return ""
    return (
        f"note: the calibration of {folder} belongs to its weights and is not taken along: "
        f"unblank calibrate {output} --data FILE"
    )


def _calibration(record: Mapping[str, Any]) -> Calibration:
    fills = None
    if "fills" in record:
        given = record["fills"]
        parameters = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given["parameters"].items()
        }
        kind: Any = _MAPS[given["form"]]
        fills = FillCalibration(
            kind(**parameters), CalibratedOn(**given["source"]), given.get("abstain_below")
        )
    candidates = record.get("candidates")
    return Calibration(
        weights=str(record["weights"]),
        fills=fills,
        labels={name: _of_labels(one) for name, one in record.get("labels", {}).items()},
        candidates=None if candidates is None else _of_labels(candidates),
    )


def _of_labels(given: Mapping[str, Any]) -> LabelCalibration:
    return LabelCalibration(
        float(given["temperature"]),
        dict(given["asked"]),
        CalibratedOn(**given["source"]),
        given.get("abstain_below"),
        dict(given.get("thresholds", {})),
    )


def _require_thresholds(*found: float | None) -> None:
    for one in found:
        if one is not None and not 0 < one <= 1:
            raise ValueError(f"a threshold is {one}")
