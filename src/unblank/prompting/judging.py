"""Predictions of a task against its labels, by the scores that the task's YAML names."""

from collections.abc import Sequence

from unblank.metrics.answers import Answer, score_answers
from unblank.prompting.examples import TaskExample, require_labels
from unblank.prompting.predicting import Prediction
from unblank.prompting.task import ClozeTask

__all__ = ["judge", "right_label", "to_answers"]


def judge(
    task: ClozeTask, examples: Sequence[TaskExample], predictions: Sequence[Prediction]
) -> dict[str, float]:
    """Return the task's scores by name, in percent.

    Raises:
        ValueError: if an example has no label.
        ImportError: if a metric needs the extra `eval`.
    """
    return score_answers(to_answers(task, examples, predictions), task.metrics)


def to_answers(
    task: ClozeTask, examples: Sequence[TaskExample], predictions: Sequence[Prediction]
) -> list[Answer]:
    """Return what was predicted beside what is right, one for each example.

    Raises:
        ValueError: if an example has no label.
    """
    require_labels(task, examples)
    return [
        Answer(
            predicted=prediction.label,
            right=tuple(right_label(task, example, answer) for answer in example.answers),
            predicted_value=prediction.value or 0.0,
            right_value=example.value or 0.0,
            question=example.group,
            predicted_labels=prediction.labels if task.decision == "several" else None,
            predicted_rank=prediction.index,
            right_rank=example.answers[0] if example.answers else 0,
        )
        for example, prediction in zip(examples, predictions, strict=True)
    ]


def right_label(task: ClozeTask, example: TaskExample, answer: int) -> str:
    """Return one of the right answers of an example as a prediction would say it."""
    names = ("false", "true") if task.decision == "first" else example.candidates or task.labels
    return names[answer]
