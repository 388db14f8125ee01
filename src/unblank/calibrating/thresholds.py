"""Thresholds learned from labelled answers; pure functions.

From which probability a model had better answer, and from which each of several labels applies.

Shapes: `N` answers.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from unblank.metrics.calibration import answered_shares
from unblank.metrics.label_sets import best_threshold, macro_f1_of_sets

__all__ = ["LabelledSets", "abstention_threshold", "answered_from"]


def abstention_threshold(
    confidence_N: Sequence[float], is_right_N: Sequence[bool], most_wrong: float
) -> float:
    """Return the probability from which as much as possible is answered, and little of it wrong.

    Args:
        confidence_N: probabilities of being right, 0 to 1.
        is_right_N: whether the answers are.
        most_wrong: share of what is answered that may be wrong, in (0, 1).

    Returns:
        Half way between two probabilities that occur, or half of the lowest.

    Raises:
        ValueError: no threshold does it.

    Example:
        >>> round(abstention_threshold([0.9, 0.8, 0.6, 0.5], [True, True, False, False], 0.2), 3)
        0.7
    """
    rising = answered_shares(confidence_N, is_right_N)  # the lowest threshold first
    below = 0.0
    for one in rising:
        if one.risk <= most_wrong:
            return (one.threshold + below) / 2
        below = one.threshold
    least = min(one.risk for one in rising)
    raise ValueError(
        f"no threshold keeps wrong answers to {most_wrong:.1%}: at best {least:.1%} of what is "
        "answered is wrong; allow more, or leave most_wrong out"
    )


def answered_from(
    confidence_N: Sequence[float], is_right_N: Sequence[bool], threshold: float
) -> dict[str, float | None]:
    """Return how much is answered from a threshold on, and how much of that is wrong.

    Returns:
        `answered` and `wrong`, shares from 0 to 1; nothing is known of the latter if nothing is.
    """
    answered = np.asarray(confidence_N, float) >= threshold
    is_wrong = ~np.asarray(is_right_N, bool)[answered]
    return {
        "answered": float(answered.mean()),
        "wrong": float(is_wrong.mean()) if len(is_wrong) else None,
    }


class LabelledSets:
    """Probabilities of labels of which several may apply, and which of them do.

    Args:
        labels: of each probability.
        probability_N: that the label applies, as it will be compared with a threshold.
        applies_N: whether it does.
    """

    def __init__(
        self, labels: Sequence[str], probability_N: Sequence[float], applies_N: Sequence[bool]
    ) -> None:
        self._known: dict[str, tuple[list[float], list[bool]]] = {}
        for label, probability, applies in zip(labels, probability_N, applies_N, strict=True):
            probabilities, right = self._known.setdefault(label, ([], []))
            probabilities.append(probability)
            right.append(applies)

    def best_thresholds(self) -> dict[str, float]:
        """Return the threshold with the best F1 of every label that applies somewhere."""
        found = {label: best_threshold(*known) for label, known in self._known.items()}
        return {label: one for label, one in found.items() if one is not None}

    def macro_f1(self, thresholds: Mapping[str, float], usual: float) -> float:
        """Return the mean F1 of labels, 0 to 100.

        Args:
            thresholds: from which a label counts as predicted.
            usual: that of the others.
        """
        predicted, right = [], []
        for label, (probabilities, applies) in self._known.items():
            least = thresholds.get(label, usual)
            predicted += [[label] if one >= least else [] for one in probabilities]
            right += [[label] if one else [] for one in applies]
        return macro_f1_of_sets(predicted, right)
