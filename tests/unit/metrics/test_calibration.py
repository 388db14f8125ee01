"""Calibration error, Brier score, log-loss, risk and coverage: by hand and by scikit-learn."""

import numpy as np
import pytest

from unblank.metrics.calibration import (
    answered_shares,
    brier_score,
    calibration_error,
    calibration_error_by_chance,
    log_loss,
    reliability,
)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    confidences = rng.random(500)
    return confidences, rng.random(500) < confidences**2


def test_bins_are_those_of_scikit_learn(drawn):
    curve = pytest.importorskip("sklearn.calibration").calibration_curve
    accuracy, confidence = curve(drawn[1], drawn[0], n_bins=10)
    bins = reliability(*drawn)
    assert [one.accuracy for one in bins] == pytest.approx(accuracy)
    assert [one.confidence for one in bins] == pytest.approx(confidence)


def test_scores_are_those_of_scikit_learn(drawn):
    metrics = pytest.importorskip("sklearn.metrics")
    assert brier_score(*drawn) == pytest.approx(metrics.brier_score_loss(drawn[1], drawn[0]))
    assert log_loss(*drawn) == pytest.approx(metrics.log_loss(drawn[1], drawn[0]))
    assert np.isfinite(log_loss([0.0, 1.0], [True, False]))


def test_risk_against_coverage_of_a_case_by_hand():
    found = answered_shares([0.9, 0.5, 0.5, 0.7], [True, False, True, False])
    assert [(one.threshold, one.coverage) for one in found] == [(0.5, 1.0), (0.7, 0.5), (0.9, 0.25)]
    assert [one.risk for one in found] == pytest.approx([0.5, 0.5, 0.0])


def test_the_error_by_chance_is_what_perfect_probabilities_stay_below():
    rng = np.random.default_rng(5)
    confidences = rng.random(200)
    bound = calibration_error_by_chance(confidences, np.random.default_rng(1))
    errors = [
        calibration_error(reliability(confidences, rng.random(200) < confidences))
        for _ in range(200)
    ]
    assert np.mean(np.array(errors) <= bound) == pytest.approx(0.95, abs=0.05)
    fewer = calibration_error_by_chance(confidences[:30], np.random.default_rng(1))
    assert fewer > bound


def test_calibration_error_of_a_case_by_hand():
    bins = reliability([0.95, 0.91, 0.55, 1.0], [True, False, True, True])
    assert [one.count for one in bins] == [1, 3]
    assert calibration_error(bins) == pytest.approx(
        0.25 * abs(1 - 0.55) + 0.75 * abs(2 / 3 - (0.95 + 0.91 + 1.0) / 3)
    )
