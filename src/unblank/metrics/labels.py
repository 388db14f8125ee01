"""Numbers that say how good predictions are: pure functions of predictions and answers.

Values are percentages (0 to 100), correlations too, as the papers' tables print them. scikit-learn
and scipy compute the correlations (extra `eval`); F1 is counted here, as a standard error takes it
hundreds of times. Scores of written texts are in `text`, standard errors in `spread`.
"""

import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

from unblank.metrics.written_form import written_form
from unblank.plurals import counted

__all__ = [
    "best_answer_scores",
    "f1_binary",
    "f1_macro",
    "matthews",
    "pearson",
    "question_exact_match",
    "spearman",
]

Label = Hashable


def f1_binary(predictions: Sequence[Label], labels: Sequence[Label], positive: Label = 1) -> float:
    """Return the F1 of one class (MRPC; MultiRC over all answers, called F1a); 0 without hits.

    Args:
        predictions: one a row.
        labels: one a row.
        positive: the class that is looked for.
    """
    _require_pairs(predictions, labels)
    return _f1_of_classes(predictions, labels).get(positive, 0.0)


def f1_macro(predictions: Sequence[Label], labels: Sequence[Label]) -> float:
    """Return the mean of the F1 of every class among predictions and labels (CommitmentBank)."""
    _require_pairs(predictions, labels)
    scores = _f1_of_classes(predictions, labels)
    return math.fsum(scores.values()) / len(scores)


def matthews(predictions: Sequence[Label], labels: Sequence[Label]) -> float:
    """Return Matthews' correlation, times 100 (CoLA); 0 if one side is constant."""
    from sklearn.metrics import matthews_corrcoef

    _require_pairs(predictions, labels)
    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return 100.0 * float(matthews_corrcoef(list(labels), list(predictions)))


def pearson(predictions: Sequence[float], labels: Sequence[float]) -> float:
    """Return Pearson's correlation, times 100 (STS-B); 0 if one side is constant."""
    from scipy.stats import pearsonr

    _require_pairs(predictions, labels)
    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return 100.0 * float(pearsonr(predictions, labels).statistic)


def spearman(predictions: Sequence[float], labels: Sequence[float]) -> float:
    """Return Spearman's rank correlation, times 100 (STS-B); 0 if one side is constant."""
    from scipy.stats import spearmanr

    _require_pairs(predictions, labels)
    if _is_constant(predictions) or _is_constant(labels):
        return 0.0
    return 100.0 * float(spearmanr(predictions, labels).statistic)


def question_exact_match(
    predictions: Sequence[Label], labels: Sequence[Label], questions: Sequence[Hashable]
) -> float:
    """Return the percentage of questions whose answers are all judged right (MultiRC's EM).

    Args:
        predictions: one for each answer of a question.
        labels: one for each answer.
        questions: what tells the questions apart, one for each answer.
    """
    _require_pairs(predictions, labels)
    is_right: dict[Hashable, bool] = defaultdict(lambda: True)
    for prediction, label, question in zip(predictions, labels, questions, strict=True):
        is_right[question] &= prediction == label
    return 100.0 * sum(is_right.values()) / len(is_right)


def _normalize_answer(text: str) -> str:
    r"""Return an answer without case, ASCII punctuation, English articles and doubled spaces.

    As SQuAD's program does; marks stay, as they tell words apart in most languages. Letters are
    compared in one written form, whichever way they are encoded.

    Example:
        >>> _normalize_answer("The  Cafe\u0301, a bar.") == "caf\u00e9 bar"
        True
    """
    letters = written_form(text.lower())
    words = "".join(letter for letter in letters if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", words).split())


def _exact_match(prediction: str, answer: str) -> float:
    """Return 100 if both are the same after `_normalize_answer`, else 0."""
    return 100.0 * (_normalize_answer(prediction) == _normalize_answer(answer))


def token_f1(prediction: str, answer: str) -> float:
    """Return the F1 of the words that both share, as SQuAD and ReCoRD count it, in percent."""
    predicted, true = _normalize_answer(prediction).split(), _normalize_answer(answer).split()
    if not predicted or not true:
        return 100.0 * (predicted == true)
    num_shared = sum((Counter(predicted) & Counter(true)).values())
    return 200.0 * num_shared / (len(predicted) + len(true))


def best_answer_scores(prediction: str, answers: Sequence[str]) -> tuple[float, float]:
    """Return F1 and exact match against the answer that fits best, each in percent (ReCoRD).

    Args:
        prediction: the chosen text.
        answers: the right ones, at least one.
    """
    return (
        max(token_f1(prediction, answer) for answer in answers),
        max(_exact_match(prediction, answer) for answer in answers),
    )


def _require_pairs(predictions: Sequence[object], labels: Sequence[object]) -> None:
    if len(predictions) != len(labels) or not labels:
        raise ValueError(
            f"{counted(len(predictions), 'prediction')} for {counted(len(labels), 'label')}: give "
            "one for each label, at least one"
        )


def _f1_of_classes(predictions: Sequence[Label], labels: Sequence[Label]) -> dict[Label, float]:
    """Return the F1 of every class that is predicted or right, in percent."""
    hits = Counter(label for one, label in zip(predictions, labels, strict=True) if one == label)
    sizes = Counter(predictions) + Counter(labels)
    return {label: 200.0 * hits[label] / size for label, size in sizes.items()}


def _is_constant(values: Sequence[Hashable]) -> bool:
    return len(set(values)) == 1
