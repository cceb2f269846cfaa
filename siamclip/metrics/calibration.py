"""Calibration: from a distance to the probability that a pair is the same identity.

Both methods never rise with the distance, so that calibration changes no decision, only how sure it sounds.
A calibration holds for the share of same pairs it was fitted on. Validation pairs are drawn half and half;
`prior` is the share expected in use, and reweighs the two classes to it (Elkan 2001, "The foundations of
cost-sensitive learning").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from siamclip.errors import UserError

Method = Literal["platt", "isotonic"]


@dataclass(frozen=True)
class Platt:
    """P(same | d) = 1 / (1 + exp(slope d + offset)), slope >= 0 (Platt 1999)."""

    slope: float
    offset: float

    def probability(self, distances: np.ndarray) -> np.ndarray:
        """(P,) float64 probability of "same", in [0, 1], for (P,) distances."""
        return _logistic(-(self.slope * np.asarray(distances, np.float64) + self.offset))

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON; `calibration_from_dict` is the way back."""
        return {"method": "platt", "slope": self.slope, "offset": self.offset}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots, level outside them (Zadrozny and Elkan 2002).

    distances: ascending; probabilities: of "same", never rising.
    """

    distances: tuple[float, ...]
    probabilities: tuple[float, ...]

    def probability(self, distances: np.ndarray) -> np.ndarray:
        """(P,) float64 probability of "same", in [0, 1], for (P,) distances."""
        return np.interp(np.asarray(distances, np.float64), self.distances, self.probabilities)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, ready for JSON; `calibration_from_dict` is the way back."""
        return {
            "method": "isotonic",
            "distances": list(self.distances),
            "probabilities": list(self.probabilities),
        }


Calibration = Platt | Isotonic


def fit_calibration(distances: np.ndarray, same: np.ndarray, method: Method, prior: float | None = None) -> Calibration:
    """Fit on (P,) distances and (P,) bool `same` of validation pairs.

    prior: share of same pairs to expect in use, in (0, 1); None keeps the share found here.
    Raises ValueError if a class is absent, UserError for an unknown method or a prior outside (0, 1).
    """
    distances, same = np.asarray(distances, np.float64), np.asarray(same, bool)
    if distances.shape != same.shape or distances.ndim != 1 or not np.isfinite(distances).all():
        raise ValueError(f"distances {distances.shape} and same {same.shape} must be one (P,), distances finite")
    if same.all() or not same.any():
        raise ValueError("calibration needs both same and different pairs")
    if prior is not None and not 0 < prior < 1:
        raise UserError("", f"calibration prior is {prior}: give the expected share of same pairs, between 0 and 1")
    if method not in get_args(Method):
        raise UserError("", f"calibration method {method!r} is unknown: use one of {', '.join(get_args(Method))}")
    share = same.mean()
    same_weight, different_weight = (1.0, 1.0) if prior is None else (prior / share, (1 - prior) / (1 - share))
    fit = _fit_platt if method == "platt" else _fit_isotonic
    return fit(distances, same, same_weight, different_weight)


def calibration_from_dict(stored: dict[str, Any]) -> Calibration:
    """Inverse of `to_dict`. Raises UserError if `stored` is not what `to_dict` gives."""
    try:
        if stored["method"] == "platt":
            platt = Platt(float(stored["slope"]), float(stored["offset"]))
            if np.isfinite([platt.slope, platt.offset]).all() and platt.slope >= 0:
                return platt
        elif stored["method"] == "isotonic":
            x, y = (np.array(stored[name], np.float64) for name in ("distances", "probabilities"))
            in_order = x.size and x.shape == y.shape and (np.diff(x) > 0).all() and (np.diff(y) <= 0).all()
            if in_order and np.isfinite(x).all() and ((y >= 0) & (y <= 1)).all():
                return Isotonic(tuple(x.tolist()), tuple(y.tolist()))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError("", f"calibration is damaged ({error!r}): fit it again with evaluate.py") from error
    raise UserError("", "calibration is damaged (unknown method or impossible values): fit it again with evaluate.py")


def _fit_platt(distances: np.ndarray, same: np.ndarray, same_weight: float, different_weight: float) -> Platt:
    """Newton's method with backtracking (Lin, Lin and Weng 2007, "A note on Platt's probabilistic outputs").

    The targets are not 1 and 0 but (n+ + 1) / (n+ + 2) and 1 / (n- + 2): pairs that a threshold separates
    without error then have a finite slope.
    """
    n_same, n_different = np.count_nonzero(same), np.count_nonzero(~same)
    target = np.where(same, (n_same + 1) / (n_same + 2), 1 / (n_different + 2))
    weight = np.where(same, same_weight, different_weight)
    weight /= weight.sum()
    design = np.stack([distances, np.ones_like(distances)], axis=1)

    def loss(parameters: np.ndarray) -> float:
        z = design @ parameters
        return float(weight @ (np.logaddexp(0, z) - (1 - target) * z))

    constant = float(weight @ target)
    without_slope = np.array([0.0, np.log((1 - constant) / constant)])
    parameters = without_slope
    for _ in range(100):
        p = _logistic(-(design @ parameters))
        gradient = design.T @ (weight * (target - p))
        if np.abs(gradient).max() < 1e-9:
            break
        hessian = (design.T * (weight * p * (1 - p))) @ design + 1e-12 * np.eye(2)
        step = -np.linalg.solve(hessian, gradient)
        here, size = loss(parameters), 1.0
        # The slack of 1e-12 lets the last steps pass, whose gain is below the rounding of the loss.
        while loss(parameters + size * step) > here + 1e-4 * size * gradient @ step + 1e-12:
            size /= 2
        parameters = parameters + size * step
    else:
        raise ArithmeticError("Platt calibration did not converge in 100 Newton steps")
    if parameters[0] < 0:  # worse than chance: the loss is convex, so the best slope that does not rise is 0
        parameters = without_slope
    return Platt(float(parameters[0]), float(parameters[1]))


def _fit_isotonic(distances: np.ndarray, same: np.ndarray, same_weight: float, different_weight: float) -> Isotonic:
    """Isotonic regression, kept away from 0 and 1 as if one more pair of each class had been seen (Laplace).

    The odds lie between 1 : (n- + 1) and (n+ + 1) : 1, times the ratio of the class weights.
    """
    from sklearn.isotonic import IsotonicRegression

    regression = IsotonicRegression(increasing=False, out_of_bounds="clip")
    regression.fit(distances, same.astype(np.float64), np.where(same, same_weight, different_weight))
    ratio = same_weight / different_weight
    lowest, highest = ratio / (np.count_nonzero(~same) + 1), ratio * (np.count_nonzero(same) + 1)
    probabilities = np.clip(regression.y_thresholds_, lowest / (1 + lowest), highest / (1 + highest))
    return Isotonic(tuple(regression.X_thresholds_.tolist()), tuple(probabilities.tolist()))


def _logistic(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))


@dataclass(frozen=True)
class Reliability:
    """Predicted against observed share of "same", by bins of the predicted probability.

    edges: (B + 1,) from 0 to 1. predicted, observed: (B,) means in [0, 1], nan in an empty bin.
    count: (B,) int64. ece: expected calibration error in [0, 1], the mean over bins, weighted by count, of
    |predicted - observed| (Guo et al. 2017).
    """

    edges: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray
    ece: float


def reliability(probabilities: np.ndarray, outcomes: np.ndarray, bins: int = 10) -> Reliability:
    """Reliability of (P,) probabilities in [0, 1] against (P,) bool outcomes, in bins of equal width.

    Raises ValueError for no pairs, shapes that differ, or a probability outside [0, 1].
    """
    probabilities, outcomes = np.asarray(probabilities, np.float64), np.asarray(outcomes, bool)
    if probabilities.shape != outcomes.shape or probabilities.ndim != 1 or probabilities.size == 0:
        raise ValueError(f"probabilities {probabilities.shape} and outcomes {outcomes.shape} must be one (P,), P > 0")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    bin_of = np.minimum((probabilities * bins).astype(np.intp), bins - 1)
    count = np.bincount(bin_of, minlength=bins)
    predicted = np.bincount(bin_of, probabilities, bins)
    observed = np.bincount(bin_of, outcomes, bins)
    ece = float(np.abs(predicted - observed).sum() / len(probabilities))
    size = np.where(count > 0, count, np.nan)
    return Reliability(np.linspace(0, 1, bins + 1), predicted / size, observed / size, count, ece)
