"""How good predicted sets of labels are, where several labels may be right at once.

Values are percentages. Shapes: `E` examples, `L` labels.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_threshold", "exact_sets", "macro_f1_of_sets", "micro_f1_of_sets"]

LabelSet = frozenset[str] | set[str] | Sequence[str]


def micro_f1_of_sets(predicted: Sequence[LabelSet], right: Sequence[LabelSet]) -> float:
    """Return the F1 over all pairs of an example and a label; 0 if there is none.

    Example:
        >>> round(micro_f1_of_sets([{"a"}, {"a", "b"}], [{"a"}, {"b"}]), 1)
        80.0
    """
    pairs = [(set(one), set(other)) for one, other in zip(predicted, right, strict=True)]
    total = sum(len(one) + len(other) for one, other in pairs)
    return 200.0 * sum(len(one & other) for one, other in pairs) / total if total else 0.0


def macro_f1_of_sets(predicted: Sequence[LabelSet], right: Sequence[LabelSet]) -> float:
    """Return the mean F1 of the labels that are predicted or right; 0 if there is none."""
    pairs = [(set(one), set(other)) for one, other in zip(predicted, right, strict=True)]
    hits = Counter(label for one, other in pairs for label in one & other)
    sizes = Counter(label for pair in pairs for labels in pair for label in labels)
    scores = [200.0 * hits[label] / sizes[label] for label in sorted(sizes)]
    return float(np.mean(scores)) if scores else 0.0


def exact_sets(predicted: Sequence[LabelSet], right: Sequence[LabelSet]) -> float:
    """Return the percentage of examples of which all labels are right, and none too many."""
    pairs = zip(predicted, right, strict=True)
    return 100.0 * float(np.mean([set(one) == set(other) for one, other in pairs]))


def best_threshold(probabilities_E: Sequence[float], is_right_E: Sequence[bool]) -> float | None:
    """Return the threshold of a label with the best F1, of equal ones the one next to 0.5.

    Args:
        probabilities_E: of the label, in [0, 1].
        is_right_E: whether it applies.

    Returns:
        Half way between two probabilities that occur, or None if the label applies nowhere.

    Example:
        >>> round(best_threshold([0.1, 0.2, 0.3], [False, True, True]), 3)
        0.15
    """
    if not any(is_right_E):
        return None
    order = np.argsort(-np.asarray(probabilities_E), kind="stable")
    sorted_E: NDArray[np.float64] = np.asarray(probabilities_E, dtype=np.float64)[order]
    hits_E = np.asarray(is_right_E, dtype=np.int64)[order].cumsum()
    f1_E = 2 * hits_E / (np.arange(1, len(order) + 1) + hits_E[-1])
    below_E = np.append(sorted_E[1:], 0.0)
    is_cut_E = sorted_E > below_E  # equal probabilities stay together
    middle_E = (sorted_E + below_E) / 2
    is_best_E = is_cut_E & (f1_E >= f1_E[is_cut_E].max(initial=0.0) - 1e-12)
    if not is_best_E.any():  # every probability is 0
        return None
    best = middle_E[is_best_E]
    return float(best[np.abs(best - 0.5).argmin()])
