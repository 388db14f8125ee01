"""How good the predictions of a file are that has labels: numbers, a table, a picture."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unblank.extras import install_command
from unblank.figures import new_figure
from unblank.integrity import write_at_once
from unblank.metrics.answers import Answer, score_answers
from unblank.metrics.calibration import calibration_error, reliability
from unblank.metrics.confusion import Confusion, confusion_of
from unblank.prompting import ClozeTask, TaskExample

__all__ = ["Judged", "LabelReport", "report_on"]

_MOST_MISTAKES = 10
_SHOWN_MISTAKES = 3
_MOST_SHOWN_LABELS = 12
"""Labels of a confusion matrix that fit a terminal."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A prediction of an example with a label.

    Attributes:
        example: the question.
        right: labels or candidates that are right; empty where a number is.
        guess: the likeliest label, or the number, also where the model abstained.
        probability: of the guess.
    """

    example: TaskExample
    right: tuple[str, ...]
    guess: str | float
    probability: float

    @property
    def is_right(self) -> bool:
        """Whether the guess is."""
        return self.guess in self.right


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
        write_at_once(path, json.dumps(self.values, ensure_ascii=False, indent=1) + "\n")
        said = [f"report: {path}"]
        if self.confusion is not None:
            picture = path.with_suffix(".png")
            if _draw(self.task, self.confusion, picture):
                said.append(f"picture: {picture}")
            else:
                command = install_command("matplotlib")
                said.append(f"{picture} was not drawn; to draw it: {command}")
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
        if self.confusion is not None:
            parts += [_label_table(self.confusion)]
            if len(self.confusion.labels) <= _MOST_SHOWN_LABELS:
                parts += [
                    Text("right (rows) and predicted (columns)"),
                    _confusion_table(self.confusion),
                ]
        for one in values.get("mistakes", [])[:_SHOWN_MISTAKES]:
            line = f"{one['place']}: {one['predicted']} ({one['probability']:.0%})"
            parts.append(Text(f"{line}, right: {' or '.join(one['right'])}"))
        return Group(*parts)


def report_on(
    task: ClozeTask,
    judged: Sequence[Judged],
    abstain_below: float,
    num_strange: int,
    calibration: str = "",
) -> LabelReport:
    """Return the report on some predictions.

    Args:
        task: what was asked.
        judged: at least one.
        abstain_below: probability below which nothing was predicted.
        num_strange: records whose label is none of the task's.
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
    values["mistakes"] = _mistakes(judged)
    return LabelReport(task.name, values, confusion)


def _task_scores(task: ClozeTask, judged: Sequence[Judged]) -> dict[str, float]:
    """Return the scores that the task's file names; without the extra `eval`, those that go."""
    answers = [
        Answer(
            predicted=str(one.guess),
            right=one.right,
            predicted_value=one.guess if isinstance(one.guess, float) else 0.0,
            right_value=one.example.value or 0.0,
            question=one.example.group,
        )
        for one in judged
    ]
    found: dict[str, float] = {}
    for metric in task.metrics:
        try:
            found |= score_answers(answers, [metric])
        except ImportError:
            continue
    return found


def _confusion(task: ClozeTask, judged: Sequence[Judged]) -> Confusion | None:
    labels = ("true", "false") if task.decision == "first" else task.labels
    if not labels:
        return None
    right = [one.right[0] for one in judged]
    return confusion_of(right, [str(one.guess) for one in judged], labels)


def _mistakes(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the mistakes of which the model is surest."""
    wrong = sorted((one for one in judged if not one.is_right), key=lambda one: -one.probability)
    return [
        {
            "place": one.example.place,
            "predicted": one.guess,
            "probability": one.probability,
            "right": list(one.right),
            "fields": one.example.fields,
        }
        for one in wrong[:_MOST_MISTAKES]
    ]


def _label_table(confusion: Confusion) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("label", overflow="fold")
    for heading in ("n", "precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for label, one in zip(confusion.labels, confusion.scores, strict=True):
        numbers = (f"{value:.2f}" for value in (one.precision, one.recall, one.f1))
        table.add_row(Text(label), f"{one.count:,}", *numbers)
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
    picture = BytesIO()
    figure.savefig(picture, dpi=120)
    write_at_once(path, picture.getvalue())
    return True
