"""Sets of labels and ranks are scored as scikit-learn does it; thresholds against trying all."""

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, mean_absolute_error

from unblank.metrics import label_sets, ranks

NAMES = np.array(["a", "b", "c"])


@pytest.fixture(scope="module")
def sets():
    """Return predicted and right labels of 60 examples, as indicators."""
    rng = np.random.default_rng(0)
    right = rng.random((60, 3)) < [0.5, 0.2, 0.4]
    return right ^ (rng.random((60, 3)) < 0.25), right


def named(indicators):
    return [set(NAMES[row]) for row in indicators]


def test_f1_of_sets_is_that_of_scikit_learn(sets):
    predicted, right = sets
    pair = named(predicted), named(right)
    for average, score in (
        ("micro", label_sets.micro_f1_of_sets), ("macro", label_sets.macro_f1_of_sets)
    ):  # fmt: skip
        assert score(*pair) == pytest.approx(100 * f1_score(right, predicted, average=average))
    assert label_sets.exact_sets(*pair) == pytest.approx(100 * (predicted == right).all(1).mean())


@pytest.mark.parametrize("seed", range(5))
def test_the_best_threshold_has_the_f1_that_no_other_exceeds(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.integers(0, 11, size=40) / 10
    is_right = rng.random(40) < probabilities
    found = label_sets.best_threshold(probabilities.tolist(), is_right.tolist())

    def f1(threshold):
        return f1_score(is_right, probabilities >= threshold, zero_division=0.0)

    assert f1(found) == pytest.approx(max(f1(value) for value in np.arange(0, 1.1, 0.05)))


def test_a_label_that_never_applies_has_no_best_threshold():
    assert label_sets.best_threshold([0.2, 0.9], [False, False]) is None


def test_ranks_are_scored_as_by_scikit_learn():
    rng = np.random.default_rng(0)
    right = rng.integers(0, 5, size=80)
    predicted = np.clip(right + rng.integers(-1, 2, size=80), 0, 4)
    kappa = cohen_kappa_score(predicted, right, weights="quadratic")
    assert ranks.quadratic_kappa(predicted, right) == pytest.approx(100 * kappa)
    expected = mean_absolute_error(right, predicted)
    assert ranks.mean_absolute_error(predicted, right) == pytest.approx(expected)


def test_the_memory_of_kappa_does_not_grow_with_the_square_of_the_examples():
    ranks_of_many = np.arange(2000) % 5
    tracemalloc.start()
    assert ranks.quadratic_kappa(ranks_of_many, ranks_of_many) == 100.0
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
