"""What is fitted is found again by grids, by scikit-learn, and by the formulas of the papers."""

import numpy as np
import pytest

from unblank.calibration import fitting
from unblank.calibration.fitting import choose_fill_map, fit_temperature
from unblank.calibration.maps import JointTemperature, Logistic, RisingLine, tempered
from unblank.metrics.calibration import calibration_error, log_loss, reliability


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def overconfident_labels(count=3000, temperature=2.5, num_labels=4):
    """Return probabilities of a model whose logits are that many times too large, and the truth."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(count, num_labels))
    true = softmax(logits)
    right = [(int(rng.choice(num_labels, p=one)),) for one in true]
    return softmax(logits * temperature), right


def overconfident_fills(count=4000):
    """Return log-probabilities, and outcomes that are right with p ** 2 / 2 and so rise with p."""
    rng = np.random.default_rng(1)
    log_p = -rng.exponential(size=count)
    return log_p, rng.random(count) < np.exp(log_p) ** 2 / 2


def test_the_temperature_of_an_overconfident_model_is_found_again():
    shares, right = overconfident_labels()
    found = fit_temperature(shares.tolist(), right)
    assert found == pytest.approx(2.5, rel=0.1)
    places = [one for (one,) in right]
    losses = {
        t: -np.log(softmax(np.log(shares) / t)[np.arange(len(places)), places]).mean()
        for t in np.arange(2.2, 2.8, 0.004)
    }
    assert found == pytest.approx(min(losses, key=losses.get), abs=0.008)


def test_examples_of_different_numbers_of_candidates_and_several_right_ones_count():
    shares = [[0.7, 0.3], [0.5, 0.3, 0.2], [0.9, 0.05, 0.05]] * 20
    right = [(1,), (0, 2), (0,)] * 20
    found = fit_temperature(shares, right)

    def loss(temperature):
        total = 0.0
        for one, places in zip(shares, right, strict=True):
            powers = [p ** (1 / temperature) for p in one]
            total -= np.log(sum(powers[place] for place in places) / sum(powers))
        return total

    grid = np.geomspace(0.5, 8, 800)
    assert found == pytest.approx(min(grid, key=loss), rel=5e-3)


def test_tempering_keeps_order_and_sum():
    shares = np.random.default_rng(0).dirichlet(np.ones(5), size=20)
    for temperature in (0.3, 1.0, 7.0):
        found = tempered(shares, temperature)
        assert found.sum(axis=1) == pytest.approx(1)
        assert (np.argsort(found) == np.argsort(shares)).all()
    assert tempered(shares, 1.0) == pytest.approx(shares)
    assert np.isfinite(tempered([1.0, 0.0], 0.02)).all()


def test_isotonic_regression_is_the_min_max_formula():
    """Robertson, Wright and Dykstra 1988, theorem 1.4.4: max over starts of min over ends."""
    pytest.importorskip("sklearn")
    log_p, is_right = overconfident_fills(60)
    order = np.argsort(log_p)
    right = is_right[order].astype(float)
    sums = np.concatenate([[0], right.cumsum()])
    expected = [
        max(
            min((sums[end + 1] - sums[start]) / (end + 1 - start) for end in range(at, len(right)))
            for start in range(at + 1)
        )
        for at in range(len(right))
    ]
    margin = 1 / (len(right) + 2)
    found = fitting.fit_isotonic(log_p, is_right)(log_p[order])
    assert found == pytest.approx(np.clip(expected, margin, 1 - margin))


def test_the_logistic_curve_is_that_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    log_p, is_right = overconfident_fills(300)
    num_right, num_wrong = is_right.sum(), (~is_right).sum()
    targets = {True: (num_right + 1) / (num_right + 2), False: 1 / (num_wrong + 2)}
    weights = np.array([targets[bool(one)] for one in is_right])
    model = linear_model.LogisticRegression(C=1e10, tol=1e-10, max_iter=1000)
    model.fit(
        np.concatenate([log_p, log_p])[:, None],
        [1] * len(log_p) + [0] * len(log_p),
        sample_weight=np.concatenate([weights, 1 - weights]),
    )
    found = fitting.fit_logistic(log_p, is_right)
    assert found.slope == pytest.approx(model.coef_[0, 0], rel=1e-3)
    assert found.intercept == pytest.approx(model.intercept_[0], rel=1e-3)


def test_fills_that_a_logistic_curve_parts_without_error_have_a_finite_one():
    log_p = np.array([-5.0, -4.0, -0.2, -0.1] * 10)
    found = fitting.fit_logistic(log_p, log_p > -1)
    assert 0 < found.slope < 100
    assert 0 < found(-5.0) < 0.1 < 0.9 < found(-0.1) < 1


def test_the_temperature_of_whole_fills_is_found_by_a_grid():
    log_p, is_right = overconfident_fills(400)
    found = fitting.fit_joint_temperature(log_p, is_right)
    grid = np.geomspace(0.05, 5, 3000)
    best = min(grid, key=lambda one: log_loss(np.exp(log_p / one), is_right))
    assert found.temperature == pytest.approx(best, rel=5e-3)


def test_the_form_of_the_least_held_out_loss_is_chosen_and_halves_the_error():
    pytest.importorskip("sklearn")
    log_p, is_right = overconfident_fills()
    fitted, others = slice(0, 2000), slice(2000, None)
    folds = np.arange(2000) % 5
    form, found, losses = choose_fill_map(log_p[fitted], is_right[fitted], folds)
    assert form == min(losses, key=losses.get)
    assert losses["temperature"] > losses[form]  # p ** 2 / 2 is no power of p
    expected = log_loss(
        np.concatenate(
            [
                fitting.FITS[form](log_p[fitted][folds != n], is_right[fitted][folds != n])(
                    log_p[fitted][folds == n]
                )
                for n in range(5)
            ]
        ),
        np.concatenate([is_right[fitted][folds == n] for n in range(5)]),
    )
    assert losses[form] == pytest.approx(expected)
    before, after = (
        calibration_error(reliability(one, is_right[others]))
        for one in (np.exp(log_p[others]), found(log_p[others]))
    )
    assert after < before / 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: JointTemperature(0.0),
        lambda: JointTemperature(float("nan")),
        lambda: Logistic(float("inf"), 0.0),
        lambda: RisingLine((), ()),
        lambda: RisingLine((0.0, 0.0), (0.1, 0.2)),
        lambda: RisingLine((0.0, 1.0), (0.3, 0.2)),
        lambda: RisingLine((0.0, 1.0), (0.3, 1.2)),
        lambda: RisingLine((0.0, float("nan")), (0.3, 0.4)),
        lambda: RisingLine((0.0,), (0.3, 0.4)),
    ],
)
def test_impossible_parameters_are_refused(make):
    with pytest.raises(ValueError, match="impossible"):
        make()
