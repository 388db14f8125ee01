"""Which label was taken for which, and what follows: precision, recall and F1 of every label.

Shapes: `L` labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.plurals import counted

__all__ = ["Confusion", "confusion_of"]


@dataclass(frozen=True, slots=True)
class LabelScores:
    """How well one label is found.

    Attributes:
        precision: percentage of its predictions that are right; 0 without any.
        recall: percentage of its examples that are found; 0 without any.
        f1: their harmonic mean.
        count: its examples.
    """

    precision: float
    recall: float
    f1: float
    count: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of right and predicted labels.

    Attributes:
        labels: names.
        counts: int64[L, L], a row for the right label, a column for the predicted one.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Percentage of right predictions."""
        return 100.0 * float(self.counts.trace() / self.counts.sum())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that occur, predicted or right."""
        occurs = self.counts.sum(axis=0) + self.counts.sum(axis=1) > 0
        scores = [one.f1 for one, is_there in zip(self.scores, occurs, strict=True) if is_there]
        return float(np.mean(scores))

    @property
    def scores(self) -> list[LabelScores]:
        """The scores of each label, in order."""
        found = []
        for number in range(len(self.labels)):
            hits = int(self.counts[number, number])
            count = int(self.counts[number].sum())
            num_predicted = int(self.counts[:, number].sum())
            total = count + num_predicted
            found.append(
                LabelScores(
                    precision=100.0 * hits / num_predicted if num_predicted else 0.0,
                    recall=100.0 * hits / count if count else 0.0,
                    f1=200.0 * hits / total if total else 0.0,
                    count=count,
                )
            )
        return found


def confusion_of(
    right: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> Confusion:
    """Return the counts of right and predicted labels.

    Args:
        right: one an example, at least one.
        predicted: one an example.
        labels: all that there are.

    Raises:
        ValueError: no example, or not as many predictions.

    Example:
        >>> confusion_of(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).counts.tolist()
        [[1, 1], [0, 1]]
    """
    if not right or len(right) != len(predicted):
        raise ValueError(
            f"{counted(len(predicted), 'prediction')} for {counted(len(right), 'label')}: give one "
            "for each, at least one"
        )
    places = {label: number for number, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for one, other in zip(right, predicted, strict=True):
        counts[places[one], places[other]] += 1
    return Confusion(tuple(labels), counts)
