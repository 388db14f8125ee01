"""Scores of answers to questions by name: what was predicted beside what is right, in percent.

The formulas are in `labels`; here each is given what it compares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


def _labels(answers: Sequence[Answer]) -> tuple[list[str], list[str]]:
    """Return predicted and right labels."""
    return [one.predicted for one in answers], [one.right[0] for one in answers]


def _f1(answers: Sequence[Answer]) -> float:
    return f1_binary(*_labels(answers), positive="1")


def _macro_f1(answers: Sequence[Answer]) -> float:
    if answers[0].predicted_labels is not None:
        return macro_f1_of_sets(*_label_sets(answers))
    return f1_macro(*_labels(answers))


def _label_sets(answers: Sequence[Answer]) -> tuple[list[set[str]], list[set[str]]]:
    return [set(one.predicted_labels or ()) for one in answers], [set(one.right) for one in answers]


def _micro_f1(answers: Sequence[Answer]) -> float:
    return micro_f1_of_sets(*_label_sets(answers))


def _exact(answers: Sequence[Answer]) -> float:
    return exact_sets(*_label_sets(answers))


def _ranks(answers: Sequence[Answer]) -> tuple[list[int], list[int]]:
    return [one.predicted_rank for one in answers], [one.right_rank for one in answers]


def _mae(answers: Sequence[Answer]) -> float:
    return mean_absolute_error(*_ranks(answers))


def _quadratic_kappa(answers: Sequence[Answer]) -> float:
    return quadratic_kappa(*_ranks(answers))


def _matthews(answers: Sequence[Answer]) -> float:
    return matthews(*_labels(answers))


def _question_exact_match(answers: Sequence[Answer]) -> float:
    return question_exact_match(*_labels(answers), [one.question for one in answers])


def _best_answers(answers: Sequence[Answer]) -> tuple[float, float]:
    """Return mean F1 and exact match against the right answer that fits best."""
    scores = [best_answer_scores(one.predicted, one.right) for one in answers]
    f1, exact = np.asarray(scores).mean(axis=0).tolist()
    return f1, exact


def _record_f1(answers: Sequence[Answer]) -> float:
    return _best_answers(answers)[0]


def _record_exact_match(answers: Sequence[Answer]) -> float:
    return _best_answers(answers)[1]


def _values(answers: Sequence[Answer]) -> tuple[list[float], list[float]]:
    return [one.predicted_value for one in answers], [one.right_value for one in answers]


def _pearson(answers: Sequence[Answer]) -> float:
    return pearson(*_values(answers))


def _spearman(answers: Sequence[Answer]) -> float:
    return spearman(*_values(answers))


ANSWER_METRICS: dict[str, Callable[[Sequence[Answer]], float]] = {
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "matthews": _matthews,
    "f1a": _f1,
    "em": _question_exact_match,
    "record_f1": _record_f1,
    "record_em": _record_exact_match,
    "pearson": _pearson,
    "spearman": _spearman,
    "micro_f1": _micro_f1,
    "exact": _exact,
    "mae": _mae,
    "quadratic_kappa": _quadratic_kappa,
}
"""The metrics by the names that a task's YAML file uses."""

LOWER_IS_BETTER = ("mae", "loss")
"""Metrics of which the lowest value is the best."""
