"""What calibration has changed, on held-out answers: numbers, tables, a picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unblank.consoles import TextConsole
from unblank.extras import picture_note
from unblank.figures import new_figure, save_figure
from unblank.integrity import write_atomically
from unblank.metrics.calibration import (
    answered_shares,
    brier_score,
    calibration_error,
    calibration_error_by_chance,
    log_loss,
    reliability,
)

__all__ = ["CalibrationReport", "measure_confidences", "report_of"]

_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SEED = 0
"""Of what comes about by chance, the same in every run."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How good some probabilities of being right are.

    Attributes:
        error: expected calibration error over ten bins of equal width, 0 to 1.
        by_chance: what that error stays below in 95 of 100 samples if they are perfect.
        brier: mean squared difference of probability and outcome.
        log_loss: mean surprise at the outcomes, in nats.
    """

    error: float
    by_chance: float
    brier: float
    log_loss: float


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What calibrating has changed.

    Attributes:
        name: of what was calibrated: fills, candidates, or a task.
        values: all of it as values for JSON.
    """

    name: str
    values: dict[str, Any]

    def write(self, folder: Path) -> list[str]:
        """Write `NAME.json`, and `NAME.png` with the reliability and risk against coverage.

        Returns:
            Lines that say where they are, or why there is no picture.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        write_atomically(path, json.dumps(self.values, ensure_ascii=False, indent=1) + "\n")
        picture = path.with_suffix(".png")
        return [f"report: {path}", picture_note(picture, is_drawn=self._draw(picture))]

    def shown(self) -> RenderableType:
        """Return measures, reliability and what a threshold answers, for a terminal."""
        values = self.values
        found = values["learned"]
        parameters = ", ".join(f"{name} {one:.3g}" for name, one in found["parameters"].items())
        # A temperature is its own only parameter.
        if list(found["parameters"]) != [found["form"]]:
            parameters = found["form"] + (parameters and f" ({parameters})")
        title = f"{self.name}: {parameters}, learned from "
        title += f"{values['fitted']:,} answers, measured on {values['measured']:,} others"
        parts: list[RenderableType] = [_measures(title, values)]
        parts += [_reliability_table(values["reliability"]["after"]), _thresholds(values)]
        parts += [Text(line) for line in (*_kept_thresholds(values), values["verdict"])]
        return Group(*parts)

    def __repr__(self) -> str:
        console = TextConsole(width=100, color_system=None)
        with console.capture() as captured:
            console.print(self.shown())
        return captured.get()

    def _draw(self, path: Path) -> bool:
        """Draw both diagrams; False if matplotlib is not installed."""
        figure = new_figure(10, 4.5)
        if figure is None:
            return False
        left, right = figure.subplots(1, 2)
        left.set(title=f"{self.name}: reliability", xlabel="says", ylabel="is right")
        right.set(title="risk against coverage", xlabel="answered", ylabel="of these wrong")
        left.plot([0, 1], [0, 1], color="gray", linestyle="--", label="perfect")
        for when, marker in (("before", "o"), ("after", "s")):
            bins = self.values["reliability"][when]
            error = self.values[when]["error"]
            points = [(one["confidence"], one["accuracy"]) for one in bins]
            left.plot(*zip(*points, strict=True), marker=marker, label=f"{when} ({error:.1%} off)")
            answered = self.values["answered"][when]
            curve = [(one["coverage"], one["risk"]) for one in answered]
            right.plot(*zip(*curve, strict=True), label=when)
        for axes in (left, right):
            axes.set(xlim=(0, 1), ylim=(0, 1))
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small")
        save_figure(figure, path)
        return True


def measure_confidences(confidences: Sequence[float], is_right: Sequence[bool]) -> Measured:
    """Return how good probabilities of being right are, of at least one answer."""
    return Measured(
        error=calibration_error(reliability(confidences, is_right)),
        by_chance=calibration_error_by_chance(confidences, np.random.default_rng(_SEED)),
        brier=brier_score(confidences, is_right),
        log_loss=log_loss(confidences, is_right),
    )


def report_of(
    name: str,
    source: Mapping[str, Any],
    *,
    before: Sequence[float],
    after: Sequence[float],
    is_right: Sequence[bool],
    fitted: Measured,
) -> CalibrationReport:
    """Return the report.

    Args:
        name: of what was calibrated.
        source: what it was learned from and what was learned, for JSON.
        before: the model's own probabilities of the answers kept apart.
        after: the calibrated ones.
        is_right: whether they are right.
        fitted: how good the calibrated ones are on what they were learned from.
    """
    measured = {
        "before": measure_confidences(before, is_right),
        "after": measure_confidences(after, is_right),
    }
    both = {"before": before, "after": after}
    values: dict[str, Any] = dict(source)
    values |= {"accuracy": float(np.mean(is_right)), "bins": "10 of equal width"}
    values |= {when: asdict(one) for when, one in measured.items()}
    values["reliability"] = {
        when: [asdict(one) for one in reliability(given, is_right)] for when, given in both.items()
    }
    values["answered"] = {
        when: [asdict(one) for one in answered_shares(given, is_right)]
        for when, given in both.items()
    }
    values["verdict"] = verdict(measured["before"], measured["after"], fitted, len(is_right))
    return CalibrationReport(name, values)


def verdict(before: Measured, after: Measured, fitted: Measured, count: int) -> str:
    """Return whether the error is at most half of what it was, and if not, why.

    Args:
        before: on the answers kept apart, the model's own probabilities.
        after: on the same, the calibrated ones.
        fitted: calibrated, on those that they were learned from.
        count: of the answers kept apart.
    """
    change = f"the calibration error was {before.error:.1%} and is {after.error:.1%}"
    if after.error <= before.error / 2:
        return f"{change}, at most half of it"
    why = f"{change}, more than half of it: "
    if before.error <= before.by_chance:
        return (
            f"{why}the model's own probabilities were good already, as {count:,} answers give up "
            f"to {before.by_chance:.1%} by chance even if they are perfect"
        )
    if after.error <= after.by_chance:
        return (
            f"{why}what is left is within chance, as {count:,} answers give up to "
            f"{after.by_chance:.1%} even if the probabilities are perfect; more of them would tell"
        )
    if fitted.error > before.error / 2:
        return (
            f"{why}on the answers that it was learned from it is {fitted.error:.1%} as well, so "
            "one curve is too simple for what this model says"
        )
    return (
        f"{why}on the answers that it was learned from it is {fitted.error:.1%}, so it does not "
        "carry over: learn from more answers, of the kind that will be asked"
    )


def _kept_thresholds(values: Mapping[str, Any]) -> list[str]:
    """Return what was learned besides probabilities, and what it does on the part kept apart."""
    if (one := values.get("abstaining")) is not None:
        wrong = "" if one["wrong"] is None else f", of these {one['wrong']:.1%} wrong"
        return [
            f"abstaining below {one['threshold']:.3g} (at most {one['most_wrong']:.1%} wrong where "
            f"it was learned): {one['answered']:.1%} answered{wrong}"
        ]
    if (one := values.get("thresholds")) is not None:
        change = f"macro F1 {one['macro_f1_before']:.2f} to {one['macro_f1_after']:.2f}"
        if not one["kept"]:
            return [f"thresholds of labels: not kept, as they do not help ({change})"]
        kept = ", ".join(f"{label} {value:.3g}" for label, value in one["kept"].items())
        return [f"thresholds of labels: {kept} ({change})"]
    return []


def _measures(title: str, values: Mapping[str, Any]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("score")
    for heading in ("before", "after"):
        table.add_column(heading, justify="right")
    rows = {
        "calibration error, 10 bins": ("error", "{:.1%}"),
        "  by chance, if perfect": ("by_chance", "{:.1%}"),
        "Brier score": ("brier", "{:.4f}"),
        "log-loss": ("log_loss", "{:.4f}"),
    }
    for heading, (name, form) in rows.items():
        shown = (form.format(values[when][name]) for when in ("before", "after"))
        table.add_row(heading, *shown)
    table.add_row("right", *[f"{values['accuracy']:.1%}"] * 2)
    return table


def _reliability_table(bins: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("confidence after", "n", "mean", "right"):
        table.add_column(heading, justify="right")
    for one in bins:
        where = f"{one['low']:.0%} to {one['high']:.0%}"
        table.add_row(
            where, f"{one['count']:,}", f"{one['confidence']:.1%}", f"{one['accuracy']:.1%}"
        )
    return table


def _thresholds(values: Mapping[str, Any]) -> Table:
    """Return what is answered with `--abstain-below`, and how much of that is wrong."""
    table = Table(box=SIMPLE_HEAD)
    for heading in ("--abstain-below", "answered", "of these wrong"):
        table.add_column(heading, justify="right")
    answered = values["answered"]["after"]
    for threshold in _THRESHOLDS:
        kept = [one for one in answered if one["threshold"] >= threshold]
        if kept:
            most = max(kept, key=lambda one: one["coverage"])
            cells = f"{most['coverage']:.1%}", f"{most['risk']:.1%}"
        else:
            cells = "0.0%", "-"
        table.add_row(f"{threshold:g}", *cells)
    return table
