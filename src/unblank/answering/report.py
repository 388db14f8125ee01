"""How good the predictions of a file are that has labels: numbers, a table, a picture."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unblank.extras import picture_note
from unblank.figures import new_figure, save_figure
from unblank.integrity import write_atomically
from unblank.metrics.answers import Answer, score_answers
from unblank.metrics.calibration import calibration_error, reliability
from unblank.metrics.confusion import Confusion, confusion_of
from unblank.metrics.label_sets import best_threshold
from unblank.metrics.packages import require_metric_packages
from unblank.prompting import ClozeTask

__all__ = ["Judged", "LabelReport", "report_on"]

_SHOWN_MISTAKES = 3
_MOST_SHOWN_LABELS = 12
"""Labels of a confusion matrix that fit a terminal."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction of an example with a label.

    Attributes:
        right: labels or candidates that are right; empty where a number is.
        guess: the predicted label, or the number, also where the model abstained; where several
            labels may apply, these.
        probability: of the guess; 0 where it has none.
        shares: probability of each label, where several may apply.
        right_value: the number that is right, of a regression.
        right_rank: of labels in an order, which of them is right.
        question: names examples that are judged together.
    """

    right: tuple[str, ...]
    guess: str | float | tuple[str, ...]
    probability: float
    shares: Mapping[str, float] = field(default_factory=dict)
    right_value: float | None = None
    right_rank: int = 0
    question: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the guess is."""
        return self.guess == self.right if self.shares else self.guess in self.right


@dataclass(frozen=True, slots=True)
class LabelReport:
    """How good some predictions are.

    Attributes:
        task: name of the task.
        values: all of it as values for JSON.
        confusion: which label was taken for which; None where each example has its own answers.
    """

    task: str
    values: dict[str, Any]
    confusion: Confusion | None

    def write(self, output: Path) -> list[str]:
        """Write `NAME.report.json`, and `NAME.report.png` with the confusion matrix.

        Args:
            output: file of the predictions, beside which they stand.

        Returns:
            Lines that say where they are, or why there is no picture.
        """
        path = output.with_name(f"{output.stem}.report.json")
        write_atomically(path, json.dumps(self.values, ensure_ascii=False, indent=1) + "\n")
        said = [f"report: {path}"]
        if self.confusion is not None:
            picture = path.with_suffix(".png")
            is_drawn = _draw(self.task, self.confusion, picture)
            said.append(picture_note(picture, is_drawn=is_drawn))
        return said

    def shown(self) -> RenderableType:
        """Return scores, labels, confusion matrix and worst mistakes for a terminal."""
        values = self.values
        title = f"{self.task}: {values['count']:,} with a label"
        scores = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD)
        scores.add_column("score")
        scores.add_column("value", justify="right")
        for name, value in values["scores"].items():
            scores.add_row(name, f"{value:.2f}")
        parts: list[RenderableType] = [scores]
        if "labels" in values:
            parts += [_label_table(values["labels"])]
        if self.confusion is not None and len(self.confusion.labels) <= _MOST_SHOWN_LABELS:
            parts += [
                Text("right (rows) and predicted (columns)"),
                _confusion_table(self.confusion),
            ]
        mistakes = values.get("mistakes", [])[:_SHOWN_MISTAKES]
        if mistakes:
            parts.append(Text("surest mistakes"))
        for one in mistakes:
            line = f"{one['place']}: {one['predicted']} ({one['probability']:.0%})"
            parts.append(Text(f"  {line}, right: {' or '.join(one['right'])}"))
        return Group(*parts)


def report_on(
    task: ClozeTask,
    judged: Sequence[Judged],
    abstain_below: float,
    num_strange: int,
    mistakes: Sequence[Mapping[str, Any]] = (),
    calibration: str = "",
) -> LabelReport:
    """Return the report on some predictions.

    Args:
        task: what was asked.
        judged: at least one.
        abstain_below: probability below which nothing was predicted.
        num_strange: records whose label is none of the task's.
        mistakes: those of which the model is surest, as values for JSON.
        calibration: what the probabilities were calibrated on; empty for the model's own.
    """
    values: dict[str, Any] = {"task": task.name, "count": len(judged)}
    if calibration:
        values["calibrated"] = calibration
    if num_strange:
        values["unknown_labels"] = num_strange
    if task.is_regression:
        values["scores"] = _task_scores(task, judged)
        return LabelReport(task.name, values, None)
    if task.decision == "several":
        values["scores"] = _task_scores(task, judged)
        bins = reliability(
            [share for one in judged for share in one.shares.values()],
            [label in one.right for one in judged for label in one.shares],
        )
        values["scores"]["calibration_error"] = 100.0 * calibration_error(bins)
        values["labels"] = _scores_of_each(task, judged)
        values["calibration"] = [asdict(one) for one in bins]
        return LabelReport(task.name, values, None)
    is_right = [one.is_right for one in judged]
    probabilities = [one.probability for one in judged]
    bins = reliability(probabilities, is_right)
    error = calibration_error(bins)
    confusion = _confusion(task, judged)
    scores = {"accuracy": 100.0 * sum(is_right) / len(is_right)}
    if confusion is not None:
        scores["macro_f1"] = confusion.macro_f1
    scores |= _task_scores(task, judged) | {"calibration_error": 100.0 * error}
    if abstain_below:
        answered = [one.is_right for one in judged if one.probability >= abstain_below]
        scores["answered"] = 100.0 * len(answered) / len(judged)
        if answered:
            scores["accuracy_of_answered"] = 100.0 * sum(answered) / len(answered)
    values["scores"] = scores
    if confusion is not None:
        pairs = zip(confusion.labels, confusion.scores, strict=True)
        values["labels"] = {label: asdict(one) for label, one in pairs}
        values["confusion"] = {
            "rows_are_right": list(confusion.labels),
            "counts": confusion.counts.tolist(),
        }
    values["calibration"] = [asdict(one) for one in bins]
    values["mistakes"] = list(mistakes)
    return LabelReport(task.name, values, confusion)


def _task_scores(task: ClozeTask, judged: Sequence[Judged]) -> dict[str, float]:
    """Return the scores that the task's file names, but for those whose package is missing.

    Warns:
        UserWarning: naming each of these, and what installs its package.
    """
    is_ranked = task.decision == "rank"
    answers = [
        Answer(
            predicted=str(one.guess),
            right=one.right,
            predicted_value=one.guess if isinstance(one.guess, float) else 0.0,
            right_value=one.right_value or 0.0,
            question=one.question,
            predicted_labels=one.guess if isinstance(one.guess, tuple) else None,
            predicted_rank=task.labels.index(str(one.guess)) if is_ranked else 0,
            right_rank=one.right_rank,
        )
        for one in judged
    ]
    found: dict[str, float] = {}
    for metric in task.metrics:
        try:
            require_metric_packages([metric])
        except ImportError as error:
            warnings.warn(f"left out of the report: {error}", stacklevel=2)
            continue
        found |= score_answers(answers, [metric])
    return found


def _confusion(task: ClozeTask, judged: Sequence[Judged]) -> Confusion | None:
    labels = ("true", "false") if task.decision == "first" else task.labels
    if not labels:
        return None
    right = [one.right[0] for one in judged]
    return confusion_of(right, [str(one.guess) for one in judged], labels)


def _scores_of_each(task: ClozeTask, judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Return for each label how well it is found, and the threshold that would find it best."""
    found = {}
    for label, threshold in zip(task.labels, task.thresholds_of_labels, strict=True):
        is_right = [label in one.right for one in judged]
        counts = confusion_of(
            ["yes" if right else "no" for right in is_right],
            ["yes" if one.shares[label] >= threshold else "no" for one in judged],
            ("yes", "no"),
        )
        found[label] = {
            **asdict(counts.scores[0]),
            "threshold": threshold,
            "best_threshold": best_threshold([one.shares[label] for one in judged], is_right),
        }
    return found


def _label_table(labels: Mapping[str, Mapping[str, Any]]) -> Table:
    has_thresholds = any("threshold" in one for one in labels.values())
    table = Table(box=SIMPLE_HEAD)
    table.add_column("label", overflow="fold")
    headings = ["n", "precision", "recall", "F1"] + ["from", "best from"] * has_thresholds
    for heading in headings:
        table.add_column(heading, justify="right")
    names = ["precision", "recall", "f1"] + ["threshold", "best_threshold"] * has_thresholds
    for label, one in labels.items():
        numbers = ("" if one[name] is None else f"{one[name]:.2f}" for name in names)
        table.add_row(Text(label), f"{one['count']:,}", *numbers)
    return table


def _confusion_table(confusion: Confusion) -> Table:
    table = Table(box=None)
    table.add_column("", overflow="fold")
    for label in confusion.labels:
        table.add_column(Text(label), justify="right", overflow="fold")
    for label, row in zip(confusion.labels, confusion.counts.tolist(), strict=True):
        table.add_row(Text(label, style="bold"), *(f"{count:,}" for count in row))
    return table


def _draw(task: str, confusion: Confusion, path: Path) -> bool:
    """Draw the confusion matrix, each row as shares; False if matplotlib is not installed."""
    size = len(confusion.labels)
    shares = confusion.counts / confusion.counts.sum(axis=1, keepdims=True).clip(min=1)
    side = 2.0 + 0.5 * size
    figure = new_figure(side + 1, side)
    if figure is None:
        return False
    axes = figure.add_subplot(title=task, xlabel="predicted", ylabel="right")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size), confusion.labels, rotation=45, ha="right")
    axes.set_yticks(range(size), confusion.labels)
    if size <= _MOST_SHOWN_LABELS:
        for row in range(size):
            for column in range(size):
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(confusion.counts[row, column]), ha="center", va="center",
                    color=color,
                )  # fmt: skip
    save_figure(figure, path)
    return True
