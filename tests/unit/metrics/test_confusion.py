"""Counts of what was predicted for what, beside scikit-learn's."""

import numpy as np
import pytest

from unblank.metrics.confusion import confusion_of


def test_confusion_is_that_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    labels = ["a", "b", "c", "never"]
    right = [labels[n] for n in rng.integers(0, 3, 50)]
    predicted = [labels[n] for n in rng.integers(0, 2, 50)]
    found = confusion_of(right, predicted, labels)
    assert (found.counts == sklearn.confusion_matrix(right, predicted, labels=labels)).all()
    expected = sklearn.precision_recall_fscore_support(
        right, predicted, labels=labels, zero_division=0
    )
    ours = np.array([(one.precision, one.recall, one.f1) for one in found.scores]).T / 100
    assert ours == pytest.approx(np.array(expected[:3]))
    macro = sklearn.f1_score(right, predicted, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(100 * macro)
