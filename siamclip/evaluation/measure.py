"""The figures of one embedder on one side of a split, each with its uncertainty.

Rates within a class (TAR, FAR, FRR, and with them ROC, AUC and EER) do not depend on how many pairs of each class
there are. Accuracy, precision, F1, average precision and calibration do: of all pairs of a collection a
fraction of a percent is "same". They are stated for a share of `positive_ratio` of same pairs, in every bootstrap
replicate too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from siamclip.data.pairs import Pairs, balance
from siamclip.metrics.bootstrap import identity_bootstrap
from siamclip.metrics.calibration import Calibration, Method, Reliability, fit_calibration
from siamclip.metrics.pairs import pair_distances, pair_histogram
from siamclip.metrics.retrieval import retrieve
from siamclip.metrics.verification import FARS, Confusion, Roc, SortedPairs, ThresholdRule, roc

DECIDED = ("accuracy", "precision", "recall", "f1", "far", "frr")
RETRIEVAL_FIGURES = ("rank1", "rank5", "rank10", "mAP")
BINS = 10  # of the reliability diagram

Advance = Callable[[], Any]


def no_progress() -> None:
    """The default of `advance`, which is called after each bootstrap replicate."""


@dataclass(frozen=True)
class Protocol:
    """How to measure: the same for every embedder that is compared."""

    rule: ThresholdRule = "f1"
    target_far: float | None = None  # with the rule "far"
    calibration: Method = "platt"
    positive_ratio: float = 0.5
    replicates: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Figure:
    """A figure and its 95% interval. All nan where undefined; the bounds too where too many replicates were."""

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """JSON-safe: nan becomes None."""
        return {name: None if math.isnan(number) else number for name, number in asdict(self).items()}


@dataclass(frozen=True)
class Decision:
    """Where "same" ends, and how probable it is. chosen_on: "validation", or "checkpoint" for what that stores."""

    threshold: float
    calibration: Calibration
    chosen_on: str


@dataclass(frozen=True)
class Side:
    """Photos to measure on: (N, D) float32 unit vectors, (N,) sorted labels, and the pairs that count."""

    embeddings: np.ndarray
    labels: np.ndarray
    pairs: Pairs


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs by ascending distance: (P,) float64 in [0, 2], and the labels of both photos, (P,) each."""

    pairs: Pairs
    distances: np.ndarray
    label_a: np.ndarray
    label_b: np.ndarray


@dataclass(frozen=True)
class Measured:
    """decision: None where nothing could choose it. lone_photos: how many were no query, being the only one of their
    identity.
    """

    decision: Decision | None
    scored: ScoredPairs
    figures: dict[str, Figure]
    lone_photos: int

    @property
    def threshold(self) -> float | None:
        return self.decision.threshold if self.decision else None


def measure(
    side: Side, validation: Side | None, stored: Decision | None, protocol: Protocol, advance: Advance = no_progress
) -> Measured:
    """All figures on `side`, at the threshold that `validation` prefers or, without one, at the stored one.

    Raises ValueError if a side lacks one of the classes.
    """
    decision = decide(score(validation), protocol) if validation is not None else stored
    scored = score(side)
    figures = verification_figures(scored, decision, protocol, advance)
    retrieval, lone_photos = retrieval_figures(side.embeddings, side.labels, protocol, advance)
    return Measured(decision, scored, figures | retrieval, lone_photos)


def score(side: Side) -> ScoredPairs:
    """The distances of a side's pairs."""
    index = np.stack([side.pairs.first, side.pairs.second], axis=1)
    distances = pair_distances(side.embeddings, index).astype(np.float64)
    order = np.argsort(distances, kind="stable")
    pairs = side.pairs.take(order)
    return ScoredPairs(pairs, distances[order], side.labels[pairs.first], side.labels[pairs.second])


def decide(scored: ScoredPairs, protocol: Protocol) -> Decision:
    """The threshold that the rule prefers on validation pairs, and a calibration for `positive_ratio`."""
    same = scored.pairs.same
    # The other two rules only know rates within a class; without weights these stay exact.
    weights = balance(same, protocol.positive_ratio) if protocol.rule in ("f1", "accuracy") else None
    threshold = roc(scored.distances, same, weights).choose_threshold(protocol.rule, protocol.target_far)
    calibration = fit_calibration(scored.distances, same, protocol.calibration, prior=protocol.positive_ratio)
    return Decision(threshold, calibration, "validation")


def at_ratio(curve: Roc, positive_ratio: float) -> Roc:
    """The same operating points with class weights `positive_ratio` and 1 - `positive_ratio`."""
    same, different = positive_ratio / curve.tp[-1], (1 - positive_ratio) / curve.fp[-1]
    return Roc(curve.thresholds, curve.tp * same, curve.fp * different)


def verification_figures(
    scored: ScoredPairs, decision: Decision | None, protocol: Protocol, advance: Advance = no_progress
) -> dict[str, Figure]:
    """auc, average_precision, eer, tar_at_far_<far>; with a decision accuracy, precision, recall, f1, far, frr and
    ece. Raises ValueError if one of the classes is absent.
    """
    same, positive_ratio = scored.pairs.same, protocol.positive_ratio
    sorted_pairs = SortedPairs(scored.distances, same)
    if decision is not None:
        # Of the pairs in order of distance, this many are accepted.
        accepted = np.searchsorted(scored.distances, decision.threshold, "right")
        probabilities = decision.calibration.probability(scored.distances)
        bins, gaps = _bin_of(probabilities), probabilities - same

    def statistic(weights: np.ndarray) -> dict[str, float]:
        curve = sorted_pairs.roc(weights)
        balanced = at_ratio(curve, positive_ratio)
        found = {
            "auc": curve.auc(),
            "average_precision": balanced.average_precision(),
            "eer": curve.eer(),
            **{f"tar_at_far_{far:g}": curve.tar_at_far(far) for far in FARS},
        }
        if decision is not None:
            taken, right = weights[:accepted], same[:accepted]
            tp, fp = float(taken[right].sum()), float(taken[~right].sum())
            cells = Confusion(tp, fp, float(curve.fp[-1]) - fp, float(curve.tp[-1]) - tp)
            found |= {name: getattr(balanced_cells(cells, positive_ratio), name) for name in DECIDED}
            of_class = np.where(same, positive_ratio / curve.tp[-1], (1 - positive_ratio) / curve.fp[-1])
            found["ece"] = float(np.abs(np.bincount(bins, weights * of_class * gaps, BINS)).sum())
        return found

    return with_intervals(statistic, scored.label_a, scored.label_b, protocol.replicates, protocol.seed, advance)


def balanced_cells(cells: Confusion, positive_ratio: float) -> Confusion:
    """The same rates within each class, for a share of `positive_ratio` of same pairs; the cells sum to 1."""
    same, different = positive_ratio, 1 - positive_ratio
    return Confusion(same * cells.recall, different * cells.far, different * (1 - cells.far), same * cells.frr)


def retrieval_figures(
    embeddings: np.ndarray, labels: np.ndarray, protocol: Protocol, advance: Advance = no_progress
) -> tuple[dict[str, Figure], int]:
    """rank1, rank5, rank10 and mAP of each photo (N, D) as a query against all others; and how many photos were no
    query, being the only one of their identity.
    """
    found = retrieve(embeddings, labels, embeddings, labels, exclude_self=True)

    def statistic(weights: np.ndarray) -> dict[str, float]:
        means = found.summary(weights)
        return {name: means[name] for name in RETRIEVAL_FIGURES}

    figures = with_intervals(statistic, labels, labels, protocol.replicates, protocol.seed, advance)
    return figures, found.left_out


def with_intervals(
    statistic: Callable[[np.ndarray], dict[str, float]],
    unit_a: np.ndarray,
    unit_b: np.ndarray,
    replicates: int,
    seed: int,
    advance: Advance = no_progress,
) -> dict[str, Figure]:
    """The figures of `identity_bootstrap` with their values; without intervals for fewer than two units (identities)
    or no replicates.
    """
    values = statistic(np.ones(len(unit_a)))
    if replicates == 0 or len(np.union1d(unit_a, unit_b)) < 2:
        return {name: Figure(value) for name, value in values.items()}

    def counted(weights: np.ndarray) -> dict[str, float]:
        advance()
        return statistic(weights)

    intervals = identity_bootstrap(counted, unit_a, unit_b, replicates=replicates, seed=seed)
    return {name: Figure(value, intervals[name].low, intervals[name].high) for name, value in values.items()}


def rates_of_all_pairs(embeddings: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, float | int]:
    """Rates over every pair there is, from a histogram with bins of 0.001, and the numbers of pairs.

    For collections with more different pairs than are listed singly. Memory does not grow with N^2.
    """
    histogram = pair_histogram(embeddings, labels)
    found = histogram.summary(threshold)
    names = ("auc", "eer", *(f"tar_at_far_{far:g}" for far in FARS), "far", "frr")
    numbers = {"same": int(histogram.same_counts.sum()), "different": int(histogram.different_counts.sum())}
    return numbers | {name: found[name] for name in names}


def reliability_at_ratio(probabilities: np.ndarray, same: np.ndarray, positive_ratio: float) -> Reliability:
    """Reliability of (P,) probabilities as if a share of `positive_ratio` of the pairs (P,) were the same.

    `count` is the number of pairs as they are.
    """
    weights, bins = balance(same, positive_ratio), _bin_of(probabilities)
    total, predicted, observed = (
        np.bincount(bins, weights * values, BINS) for values in (np.ones(len(same)), probabilities, same)
    )
    size = np.where(total > 0, total, np.nan)
    ece = float(np.abs(predicted - observed).sum() / weights.sum())
    count = np.bincount(bins, minlength=BINS)
    return Reliability(np.linspace(0, 1, BINS + 1), predicted / size, observed / size, count, ece)


def _bin_of(probabilities: np.ndarray) -> np.ndarray:
    return np.minimum((probabilities * BINS).astype(np.intp), BINS - 1)


def worst_errors(scored: ScoredPairs, threshold: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the worst false accepts (nearest first) and the worst false rejects (farthest first).

    At most two of the same two identities, so that one bad vehicle does not fill the list.
    """
    same, accepted = scored.pairs.same, scored.distances <= threshold
    false_accepts = np.flatnonzero(accepted & ~same)
    false_rejects = np.flatnonzero(~accepted & same)[::-1]
    return _varied(scored, false_accepts, number), _varied(scored, false_rejects, number)


def _varied(scored: ScoredPairs, positions: np.ndarray, number: int, most: int = 2) -> np.ndarray:
    kept: list[int] = []
    times: dict[tuple[int, int], int] = {}
    for position in positions:
        a, b = int(scored.label_a[position]), int(scored.label_b[position])
        key = (min(a, b), max(a, b))
        times[key] = times.get(key, 0) + 1
        if times[key] <= most:
            kept.append(int(position))
            if len(kept) == number:
                break
    return np.array(kept, dtype=np.intp)
