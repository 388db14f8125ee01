"""Fitting calibration maps to labelled answers, and choosing between their forms.

Shapes: `N` answers, `L` labels or candidates.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from unblank.calibration.maps import FillMap, JointTemperature, Logistic, RisingLine, tempered
from unblank.extras import optional_package
from unblank.metrics.calibration import log_loss

__all__ = ["ISOTONIC_PACKAGE", "choose_fill_map", "fit_temperature"]

ISOTONIC_PACKAGE = "sklearn"
"""What isotonic regression comes from."""

_Floats = NDArray[np.float64]
_Bools = NDArray[np.bool_]

_TEMPERATURES = np.geomspace(0.02, 50.0, 120)
"""Where the search begins; the best neighbours are then narrowed down."""
_NARROWINGS = 40


def fit_temperature(
    probabilities: Sequence[Sequence[float]], right: Sequence[Sequence[int]]
) -> float:
    """Return the temperature under which the right labels are most likely (Guo et al. 2017, 4.2).

    Args:
        probabilities: of each answer's labels or candidates, summing to 1; of any number.
        right: indices of those that are right, at least one each.
    """
    width = max(map(len, probabilities))
    shares_NL = np.zeros((len(probabilities), width))
    is_right_NL = np.zeros(shares_NL.shape, np.bool_)
    is_label_NL = np.zeros(shares_NL.shape, np.bool_)
    for row, (shares, places) in enumerate(zip(probabilities, right, strict=True)):
        shares_NL[row, : len(shares)] = shares
        is_label_NL[row, : len(shares)] = True
        is_right_NL[row, list(places)] = True

    def loss(temperature: float) -> float:
        scaled = np.where(is_label_NL, tempered(shares_NL, temperature), 0)
        of_right = (scaled * is_right_NL).sum(axis=1) / scaled.sum(axis=1)
        return float(-np.log(np.maximum(of_right, 1e-300)).mean())

    return _least(loss)


def fit_joint_temperature(log_p_N: _Floats, is_right_N: _Bools) -> JointTemperature:
    """Return the temperature of whole fills under which the outcomes are most likely."""
    return JointTemperature(
        _least(lambda one: log_loss(JointTemperature(one)(log_p_N), is_right_N))
    )


def fit_logistic(log_p_N: _Floats, is_right_N: _Bools) -> Logistic:
    """Return the logistic curve of Platt (1999), whose targets are kept off 0 and 1.

    Newton's method on a convex loss; with steps halved until it falls.
    """
    num_right, num_wrong = int(is_right_N.sum()), int((~is_right_N).sum())
    target_N = np.where(is_right_N, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))
    inputs_N2 = np.stack([log_p_N, np.ones_like(log_p_N)], axis=1)

    def loss(weights_2: _Floats) -> float:
        logit_N = inputs_N2 @ weights_2
        return float((np.logaddexp(0, logit_N) - target_N * logit_N).mean())

    weights_2 = np.array([0.0, np.log((num_right + 1) / (num_wrong + 1))])
    for _ in range(100):
        curve_N = Logistic(*map(float, weights_2))(log_p_N)
        gradient_2 = inputs_N2.T @ (curve_N - target_N)
        hessian_22 = (inputs_N2 * (curve_N * (1 - curve_N))[:, None]).T @ inputs_N2
        step_2 = np.linalg.solve(hessian_22 + 1e-9 * np.eye(2), gradient_2)
        share = 1.0
        while share > 1e-8 and loss(weights_2 - share * step_2) > loss(weights_2):
            share /= 2
        weights_2 = weights_2 - share * step_2
        if np.abs(share * step_2).max() < 1e-10:
            break
    return Logistic(*map(float, weights_2))


def fit_isotonic(log_p_N: _Floats, is_right_N: _Bools) -> RisingLine:
    """Return scikit-learn's isotonic regression; its ends keep off 0 and 1.

    Where all of some answers are right, the next may yet be wrong: at most (N + 1) / (N + 2), the
    rule of succession.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    isotonic = optional_package("sklearn.isotonic", "isotonic regression")
    margin = 1 / (len(log_p_N) + 2)
    fitted = isotonic.IsotonicRegression(y_min=margin, y_max=1 - margin, out_of_bounds="clip")
    fitted.fit(log_p_N, is_right_N.astype(float))
    return RisingLine(
        tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_))
    )


FITS: Mapping[str, Callable[[_Floats, _Bools], FillMap]] = {
    "isotonic": fit_isotonic,
    "platt": fit_logistic,
    "temperature": fit_joint_temperature,
}
"""Name of a form -> how it is fitted to log-probabilities and outcomes."""


def choose_fill_map(
    log_p: Sequence[float], is_right: Sequence[bool], folds: Sequence[int]
) -> tuple[str, FillMap, dict[str, float]]:
    """Return the form of the lowest held-out log-loss, fitted to all; and the losses of all forms.

    Args:
        log_p: natural log-probability of each fill, its end included.
        is_right: whether it was right.
        folds: the fold of each; each is held out in turn. At least two different ones.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    log_p_N, is_right_N = np.asarray(log_p, float), np.asarray(is_right, bool)
    folds_N = np.asarray(folds)
    losses = {}
    for name, fit in FITS.items():
        held_out_N = np.empty_like(log_p_N)
        for fold in np.unique(folds_N):
            is_out = folds_N == fold
            held_out_N[is_out] = fit(log_p_N[~is_out], is_right_N[~is_out])(log_p_N[is_out])
        losses[name] = log_loss(held_out_N, is_right_N)
    best = min(losses, key=losses.__getitem__)
    return best, FITS[best](log_p_N, is_right_N), losses


def _least(loss: Callable[[float], float]) -> float:
    """Return the temperature of the least loss: a grid, then golden sections around its best."""
    losses = [loss(float(one)) for one in _TEMPERATURES]
    best = int(np.argmin(losses))
    low = float(np.log(_TEMPERATURES[max(best - 1, 0)]))
    high = float(np.log(_TEMPERATURES[min(best + 1, len(_TEMPERATURES) - 1)]))
    ratio = (5**0.5 - 1) / 2
    for _ in range(_NARROWINGS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(float(np.exp(left))) < loss(float(np.exp(right))):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
