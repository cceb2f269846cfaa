"""Verification: how well a distance tells pairs of the same identity from pairs of different ones.

Conventions, here and in the whole package: lower distance is more alike; "same" is the positive class; a pair
is accepted (judged "same") exactly when distance <= threshold. Rates are named as in ISO/IEC 19795-1:

    FAR  share of different pairs accepted        TAR  share of same pairs accepted (recall)
    FRR  share of same pairs rejected, 1 - TAR    EER  the rate at which FAR = FRR

A pair may carry a weight, so that it stands for many pairs (a histogram's bin) or none (a bootstrap
replicate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from siamclip.errors import UserError

ThresholdRule = Literal["f1", "accuracy", "eer", "far"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Confusion:
    """Weight of the pairs in each cell: their number, where every pair weighs 1.

    The rate of a class that is absent (recall and FRR without same pairs, FAR without different pairs) is
    nan, for it cannot be known. Where nothing is accepted, precision and F1 are 0, as in scikit-learn.
    """

    tp: float
    fp: float
    tn: float
    fn: float

    @property
    def accuracy(self) -> float:
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.tn + self.fn)

    @property
    def precision(self) -> float:
        return _ratio(self.tp, self.tp + self.fp, undefined=0.0)

    @property
    def recall(self) -> float:
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, undefined=0.0)

    @property
    def far(self) -> float:
        return _ratio(self.fp, self.fp + self.tn)

    @property
    def frr(self) -> float:
        return _ratio(self.fn, self.fn + self.tp)


@dataclass(frozen=True)
class Roc:
    """Every operating point there is, by ascending threshold: from "accept none" to "accept all".

    thresholds, tp, fp: (K + 1,) float64 for K distinct distances; tp and fp are the accepted weight of same
    and of different pairs. Pairs at equal distance are accepted together, so ties are one point.
    """

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray

    @property
    def far(self) -> np.ndarray:
        """(K + 1,) false accept rate, rising from 0 to 1."""
        return self.fp / self.fp[-1]

    @property
    def tar(self) -> np.ndarray:
        """(K + 1,) true accept rate, rising from 0 to 1."""
        return self.tp / self.tp[-1]

    def auc(self) -> float:
        """Area under the ROC curve: P(a same pair is nearer than a different one) + P(tie) / 2."""
        return float(np.trapezoid(self.tar, self.far))

    def average_precision(self) -> float:
        """Sum over operating points of precision times gained recall, without interpolation (as
        scikit-learn).
        """
        accepted = self.tp + self.fp
        precision = np.divide(self.tp, accepted, out=np.zeros_like(accepted), where=accepted > 0)
        return float(np.sum(np.diff(self.tar) * precision[1:]))

    def eer(self) -> float:
        """Equal error rate: where the ROC curve, its points joined by straight lines, crosses FAR = FRR."""
        far, frr = self.far, 1 - self.tar
        after = int(np.argmax(far >= frr))  # never point 0, where FAR = 0 and FRR = 1
        before = after - 1
        gap_before, gap_after = frr[before] - far[before], far[after] - frr[after]
        share = gap_before / (gap_before + gap_after)
        return float(far[before] + share * (far[after] - far[before]))

    def tar_at_far(self, far: float) -> float:
        """Largest TAR among the operating points with FAR <= `far`; nothing is interpolated.

        With n different pairs FAR has steps of 1 / n: below that this is the TAR at FAR = 0.
        """
        return float(self.tar[np.searchsorted(self.far, far, side="right") - 1])

    def choose_threshold(self, rule: ThresholdRule, target_far: float | None = None) -> float:
        """Threshold of the best operating point; of equally good ones the lowest, which accepts least.

        f1, accuracy: the largest. eer: smallest |FAR - FRR|. far: largest TAR with FAR <= `target_far`.
        Raises UserError for an unknown rule or a `target_far` that does not fit it.
        """
        if rule not in get_args(ThresholdRule):
            raise UserError("", f"threshold rule {rule!r} is unknown: use one of {', '.join(get_args(ThresholdRule))}")
        if rule == "far":
            if target_far is None or not 0 <= target_far <= 1:
                raise UserError(
                    "", f"target FAR is {target_far}: the rule 'far' needs a share from 0 to 1, such as 0.01"
                )
            best = int(np.searchsorted(self.tp, self.tp[self.far <= target_far][-1]))
            return float(self.thresholds[best])
        if target_far is not None:
            raise UserError(
                "", f"target FAR {target_far} has no effect on the threshold rule {rule!r}: use the rule 'far'"
            )
        tp, fp, same, different = self.tp, self.fp, self.tp[-1], self.fp[-1]
        # Each is the named quantity up to an increasing map, in whole numbers where weights are: ties stay
        # ties.
        if rule == "f1":
            goodness = 2 * tp / (tp + fp + same)
        elif rule == "accuracy":
            goodness = tp - fp
        else:
            goodness = -np.abs(fp * same - (same - tp) * different)
        return float(self.thresholds[int(np.argmax(goodness))])


class SortedPairs:
    """Pairs sorted by distance once, so that each weighting after that costs no more than cumulative sums.

    Bootstrap replicates of the summary of 10,000 pairs ran two to three times as fast as with sorting anew.
    """

    def __init__(self, distances: np.ndarray, same: np.ndarray) -> None:
        distances, same, _ = _checked(distances, same, None)
        self._order = np.argsort(distances, kind="stable")
        ordered = distances[self._order]
        self._last_of_tie = np.flatnonzero(np.append(ordered[1:] > ordered[:-1], True))
        self._same = same[self._order].astype(np.float64)
        self._distinct = ordered[self._last_of_tie]
        self._thresholds = _between(self._distinct)

    def roc(self, weights: np.ndarray | None = None) -> Roc:
        """ROC under (P,) non-negative `weights`, in the order in which the pairs were given.

        A pair of weight 0 leaves its operating point, a repeated one: rates are right, but to choose a
        threshold use the function `roc`, which drops such pairs. Raises ValueError if a class has no weight.
        """
        weight = np.ones(len(self._same)) if weights is None else np.asarray(weights, np.float64)[self._order]
        tp = _accumulate(weight * self._same, self._last_of_tie)
        fp = _accumulate(weight * (1 - self._same), self._last_of_tie)
        if not (tp[-1] > 0 and fp[-1] > 0):
            missing = "same" if not tp[-1] > 0 else "different"
            raise ValueError(f"no pair of {missing} identity: verification needs both same and different pairs")
        return Roc(self._thresholds, tp, fp)

    def summary(
        self, threshold: float, fars: Sequence[float] = FARS, weights: np.ndarray | None = None
    ) -> dict[str, float]:
        """As the function `summary`, for the pairs sorted here."""
        roc = self.roc(weights)
        point = int(np.searchsorted(self._distinct, threshold, side="right"))
        tp, fp = float(roc.tp[point]), float(roc.fp[point])
        cells = Confusion(tp=tp, fp=fp, tn=float(roc.fp[-1]) - fp, fn=float(roc.tp[-1]) - tp)
        return {
            **{name: getattr(cells, name) for name in ("accuracy", "precision", "recall", "f1", "far", "frr")},
            "auc": roc.auc(),
            "average_precision": roc.average_precision(),
            "eer": roc.eer(),
            **{f"tar_at_far_{far:g}": roc.tar_at_far(far) for far in fars},
        }


def confusion(
    distances: np.ndarray, same: np.ndarray, threshold: float, weights: np.ndarray | None = None
) -> Confusion:
    """Confusion matrix of (P,) distances and (P,) bool `same` at one threshold.

    Compared in float64: a threshold rounded to float32 may land on the other side of a distance. Raises
    ValueError for arrays that do not fit together, a distance that is negative or not finite, or a negative
    weight.
    """
    distances, same, weight = _checked(distances, same, weights)
    accepted = distances <= threshold

    def total(cell: np.ndarray) -> float:
        return float(weight[cell].sum())

    return Confusion(total(accepted & same), total(accepted & ~same), total(~accepted & ~same), total(~accepted & same))


def roc(distances: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> Roc:
    """Operating points of (P,) distances and (P,) bool `same`, in O(P log P).

    Thresholds lie midway between neighbouring distances, so that they keep clear of the pairs they were
    chosen on. The ends: half the smallest distance (-1 where that is 0, as no distance is lower), and the
    largest distance. Raises ValueError as `confusion` does, and if one of the classes is absent.
    """
    distances, same, weight = _checked(distances, same, weights)
    kept = weight > 0
    return SortedPairs(distances[kept], same[kept]).roc(weight[kept])


def auc(distances: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve, in [0, 1]; see `Roc.auc`."""
    return roc(distances, same, weights).auc()


def average_precision(distances: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Average precision of "same", in (0, 1]; see `Roc.average_precision`."""
    return roc(distances, same, weights).average_precision()


def eer(distances: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Equal error rate, in [0, 1]; see `Roc.eer`."""
    return roc(distances, same, weights).eer()


def tar_at_far(distances: np.ndarray, same: np.ndarray, far: float, weights: np.ndarray | None = None) -> float:
    """Largest TAR with FAR <= `far`, in [0, 1]; see `Roc.tar_at_far`."""
    return roc(distances, same, weights).tar_at_far(far)


def choose_threshold(
    distances: np.ndarray,
    same: np.ndarray,
    rule: ThresholdRule,
    target_far: float | None = None,
    weights: np.ndarray | None = None,
) -> float:
    """Best threshold by `rule`; see `Roc.choose_threshold`. On the pairs it was chosen on it flatters."""
    return roc(distances, same, weights).choose_threshold(rule, target_far)


def summary(
    distances: np.ndarray,
    same: np.ndarray,
    threshold: float,
    fars: Sequence[float] = FARS,
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """All figures by name.

    At `threshold`: accuracy, precision, recall, f1, far, frr. Over all thresholds: auc, average_precision,
    eer, and tar_at_far_<far> for each of `fars`. Raises ValueError as `roc` does.
    """
    distances, same, weight = _checked(distances, same, weights)
    return SortedPairs(distances, same).summary(threshold, fars, weight)


def _ratio(part: float, whole: float, undefined: float = float("nan")) -> float:
    return part / whole if whole > 0 else undefined


def _accumulate(ordered: np.ndarray, last_of_tie: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(ordered)[last_of_tie]])


def _between(distinct: np.ndarray) -> np.ndarray:
    """(K + 1,) thresholds around (K,) ascending distances."""
    below, above = distinct[:-1], distinct[1:]
    middle = below + (above - below) / 2
    # Between neighbouring floats the middle rounds to one of them; it must not be the upper, which it would
    # accept.
    middle = np.where(middle < above, middle, below)
    none = distinct[0] / 2 if distinct[0] / 2 < distinct[0] else -1.0
    return np.concatenate([[none], middle, [distinct[-1]]])


def _checked(
    distances: np.ndarray, same: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    distances = np.asarray(distances, dtype=np.float64)
    same = np.asarray(same, dtype=bool)
    weight = np.ones(distances.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    shapes = distances.shape, same.shape, weight.shape
    if distances.ndim != 1 or distances.size == 0 or len(set(shapes)) > 1:
        raise ValueError(f"distances, same and weights: expected one shape (P,) with P > 0, got {shapes}")
    if not (np.isfinite(distances) & (distances >= 0)).all():
        raise ValueError("distances must be finite and not negative")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError("weights must be finite and not negative")
    return distances, same, weight
