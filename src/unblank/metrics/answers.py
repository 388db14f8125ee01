"""Scores of answers to questions by name: what was predicted beside what is right, in percent.

The formulas are in `labels`; here each is given what it compares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from unblank.metrics.label_sets import exact_sets, macro_f1_of_sets, micro_f1_of_sets
from unblank.metrics.labels import (
    best_answer_scores,
    f1_binary,
    f1_macro,
    matthews,
    pearson,
    question_exact_match,
    spearman,
)
from unblank.metrics.ranks import mean_absolute_error, quadratic_kappa

__all__ = ["ANSWER_METRICS", "LOWER_IS_BETTER", "Answer", "score_answers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer.

    Attributes:
        predicted: the label or text that was chosen.
        right: the labels or texts that are right; empty where a number is.
        predicted_value: the number that was predicted.
        right_value: the number that is right.
        question: tells apart the questions that have several answers.
        predicted_labels: all that were predicted, where several labels may be right; else None.
        predicted_rank: place of the predicted label among those of the task, from 0.
        right_rank: place of the right one.
    """

    predicted: str
    right: tuple[str, ...] = ()
    predicted_value: float = 0.0
    right_value: float = 0.0
    question: str = ""
    predicted_labels: tuple[str, ...] | None = None
    predicted_rank: int = 0
    right_rank: int = 0


def score_answers(answers: Sequence[Answer], metrics: Sequence[str]) -> dict[str, float]:
    """Return the scores that are asked for by name, in percent; `mae` in ranks.

    Args:
        answers: at least one.
        metrics: names of `ANSWER_METRICS`.

    Raises:
        ImportError: if a metric needs the extra `eval`.

    Example:
        >>> answers = [Answer(predicted="yes", right=(right,)) for right in ("yes", "no")]
        >>> score_answers(answers, ["accuracy"])
        {'accuracy': 50.0}
    """
    return {name: ANSWER_METRICS[name](answers) for name in metrics}


def _accuracy(answers: Sequence[Answer]) -> float:
    hits = [one.predicted in one.right for one in answers]
    return 100.0 * float(np.mean(hits))


def _macro_f1(answers: Sequence[Answer]) -> float:
    has_sets = answers[0].predicted_labels is not None
    return macro_f1_of_sets(*_sets(answers)) if has_sets else f1_macro(*_labels(answers))


def _question_exact_match(answers: Sequence[Answer]) -> float:
    return question_exact_match(*_labels(answers), [one.question for one in answers])


def _best_answers(answers: Sequence[Answer]) -> tuple[float, float]:
    """Return mean F1 and exact match against the right answer that fits best."""
    scores = [best_answer_scores(one.predicted, one.right) for one in answers]
    f1, exact = np.asarray(scores).mean(axis=0).tolist()
    return f1, exact


def _labels(answers: Sequence[Answer]) -> tuple[list[str], list[str]]:
    """Return predicted and right labels; likewise below."""
    return [one.predicted for one in answers], [one.right[0] for one in answers]


def _sets(answers: Sequence[Answer]) -> tuple[list[set[str]], list[set[str]]]:
    return [set(one.predicted_labels or ()) for one in answers], [set(one.right) for one in answers]


def _ranks(answers: Sequence[Answer]) -> tuple[list[int], list[int]]:
    return [one.predicted_rank for one in answers], [one.right_rank for one in answers]


def _values(answers: Sequence[Answer]) -> tuple[list[float], list[float]]:
    return [one.predicted_value for one in answers], [one.right_value for one in answers]


_Metric = Callable[[Sequence[Answer]], float]


def _comparing(
    metric: Callable[..., float], sides: Callable[[Sequence[Answer]], tuple[Any, Any]]
) -> _Metric:
    """Return a metric of answers that compares what is predicted with what is right."""
    return lambda answers: metric(*sides(answers))


_f1 = _comparing(partial(f1_binary, positive="1"), _labels)

ANSWER_METRICS: dict[str, _Metric] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _comparing(matthews, _labels),
    "f1a": _f1,
    "em": _question_exact_match,
    "record_f1": lambda answers: _best_answers(answers)[0],
    "record_em": lambda answers: _best_answers(answers)[1],
    "pearson": _comparing(pearson, _values),
    "spearman": _comparing(spearman, _values),
    "micro_f1": _comparing(micro_f1_of_sets, _sets),
    "exact": _comparing(exact_sets, _sets),
    "mae": _comparing(mean_absolute_error, _ranks),
    "quadratic_kappa": _comparing(quadratic_kappa, _ranks),
}
"""The metrics by the names that a task's YAML file uses."""

LOWER_IS_BETTER = ("mae", "loss")
"""Metrics of which the lowest value is the best."""
