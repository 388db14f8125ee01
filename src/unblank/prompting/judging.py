"""Predictions of a task against its labels: the scores that the task's YAML names."""

from collections.abc import Callable, Sequence

import numpy as np

from unblank.metrics.labels import (
    best_answer_scores,
    f1_binary,
    f1_macro,
    matthews,
    pearson,
    question_exact_match,
    spearman,
)
from unblank.prompting.examples import TaskExample, require_labels
from unblank.prompting.scoring import Prediction
from unblank.prompting.task import ClozeTask

__all__ = ["judge", "right_label"]

Judged = Sequence[tuple[TaskExample, Prediction]]


def judge(
    task: ClozeTask, examples: Sequence[TaskExample], predictions: Sequence[Prediction]
) -> dict[str, float]:
    """Return the task's scores by name, in percent.

    Raises:
        ValueError: if an example has no label.
        ImportError: if a metric needs the extra `eval`.
    """
    require_labels(task, examples)
    pairs = list(zip(examples, predictions, strict=True))
    return {name: _SCORES[name](task, pairs) for name in task.metrics}


def right_label(task: ClozeTask, example: TaskExample, answer: int) -> str:
    """Return one of the right answers of an example as a prediction would say it."""
    names = ("false", "true") if task.decision == "first" else example.candidates or task.labels
    return names[answer]


def _right(task: ClozeTask, example: TaskExample) -> list[str]:
    return [right_label(task, example, answer) for answer in example.answers]


def _labels(task: ClozeTask, pairs: Judged) -> tuple[list[str], list[str]]:
    """Return predicted and right labels."""
    return [p.label for _, p in pairs], [_right(task, example)[0] for example, _ in pairs]


def _accuracy(task: ClozeTask, pairs: Judged) -> float:
    hits = [p.label in _right(task, e) for e, p in pairs]
    return 100.0 * float(np.mean(hits))


def _f1(task: ClozeTask, pairs: Judged) -> float:
    return f1_binary(*_labels(task, pairs), positive="1")


def _macro_f1(task: ClozeTask, pairs: Judged) -> float:
    return f1_macro(*_labels(task, pairs))


def _matthews(task: ClozeTask, pairs: Judged) -> float:
    return matthews(*_labels(task, pairs))


def _question_exact_match(task: ClozeTask, pairs: Judged) -> float:
    return question_exact_match(*_labels(task, pairs), [e.group for e, _ in pairs])


def _best_answers(task: ClozeTask, pairs: Judged) -> tuple[float, float]:
    """Return mean F1 and exact match against the right answer that fits best."""
    scores = [best_answer_scores(p.label, _right(task, e)) for e, p in pairs]
    f1, exact = np.asarray(scores).mean(axis=0).tolist()
    return f1, exact


def _record_f1(task: ClozeTask, pairs: Judged) -> float:
    return _best_answers(task, pairs)[0]


def _record_exact_match(task: ClozeTask, pairs: Judged) -> float:
    return _best_answers(task, pairs)[1]


def _values(pairs: Judged) -> tuple[list[float], list[float]]:
    return [p.value or 0.0 for _, p in pairs], [e.value or 0.0 for e, _ in pairs]


def _pearson(_task: ClozeTask, pairs: Judged) -> float:
    return pearson(*_values(pairs))


def _spearman(_task: ClozeTask, pairs: Judged) -> float:
    return spearman(*_values(pairs))


_SCORES: dict[str, Callable[[ClozeTask, Judged], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "f1a": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "em": _question_exact_match,
    "record_f1": _record_f1,
    "record_em": _record_exact_match,
    "pearson": _pearson,
    "spearman": _spearman,
}
