"""The metrics of one embedder on one side of a split, each with its uncertainty.

Rates within a class (TAR, FAR, FRR, and with them ROC, AUC and EER) do not depend on how many pairs of each class
there are. Accuracy, precision, F1, average precision and calibration do: of all pairs of a collection a
fraction of a percent is "same". They are stated for a share of `positive_ratio` of same pairs, in every bootstrap
replicate too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from siamclip.data.pairs import balance
from siamclip.evaluation.measurement.contracts import (
    CalibratedThreshold,
    EmbeddedPhotos,
    EvaluationProtocol,
    Measurement,
    MetricWithInterval,
    ScoredPairs,
)
from siamclip.metrics.bootstrap import identity_bootstrap
from siamclip.metrics.calibration import Reliability, fit_calibration
from siamclip.metrics.pair_distances import pair_distances, pair_histogram
from siamclip.metrics.retrieval import retrieve
from siamclip.metrics.verification import FARS, Confusion, Roc, SortedPairs, roc

AT_THRESHOLD = ("accuracy", "precision", "recall", "f1", "far", "frr")
RETRIEVAL_METRICS = ("rank1", "rank5", "rank10", "mAP")
RELIABILITY_BINS = 10

Advance = Callable[[], Any]


def ignore_advance() -> None:
    """The default of `advance`, which is called after each bootstrap replicate."""


def measure_embedder(
    photos: EmbeddedPhotos,
    validation: EmbeddedPhotos | None,
    stored: CalibratedThreshold | None,
    protocol: EvaluationProtocol,
    advance: Advance = ignore_advance,
) -> Measurement:
    """All metrics on `photos`, at the threshold that `validation` prefers or, without one, at the stored one.

    Raises ValueError if there are no pairs of one of the classes.
    """
    threshold = fit_threshold(score(validation), protocol) if validation is not None else stored
    scored = score(photos)
    verification = verification_metrics(scored, threshold, protocol, advance)
    retrieval, photos_alone = retrieval_metrics(photos.embeddings, photos.labels, protocol, advance)
    return Measurement(threshold, scored, verification | retrieval, photos_alone)


def score(photos: EmbeddedPhotos) -> ScoredPairs:
    """The distances of the pairs."""
    index = np.stack([photos.pairs.first, photos.pairs.second], axis=1)
    distances = pair_distances(photos.embeddings, index).astype(np.float64)
    order = np.argsort(distances, kind="stable")
    pairs = photos.pairs.take(order)
    return ScoredPairs(pairs, distances[order], photos.labels[pairs.first], photos.labels[pairs.second])


def fit_threshold(scored: ScoredPairs, protocol: EvaluationProtocol) -> CalibratedThreshold:
    """The threshold that the rule prefers on validation pairs, and a calibration for `positive_ratio`."""
    same = scored.pairs.same
    # The other two rules only know rates within a class; without weights these stay exact.
    weights = balance(same, protocol.positive_ratio) if protocol.rule in ("f1", "accuracy") else None
    threshold = roc(scored.distances, same, weights).choose_threshold(protocol.rule, protocol.target_far)
    calibration = fit_calibration(scored.distances, same, protocol.calibration, prior=protocol.positive_ratio)
    return CalibratedThreshold(threshold, calibration, "validation")


def at_ratio(curve: Roc, positive_ratio: float) -> Roc:
    """The same operating points with class weights `positive_ratio` and 1 - `positive_ratio`."""
    same, different = positive_ratio / curve.tp[-1], (1 - positive_ratio) / curve.fp[-1]
    return Roc(curve.thresholds, curve.tp * same, curve.fp * different)


def verification_metrics(
    scored: ScoredPairs,
    threshold: CalibratedThreshold | None,
    protocol: EvaluationProtocol,
    advance: Advance = ignore_advance,
) -> dict[str, MetricWithInterval]:
    """auc, average_precision, eer, tar_at_far_<far>; with a threshold accuracy, precision, recall, f1, far, frr and
    ece. Raises ValueError if one of the classes is absent.
    """
    same, positive_ratio = scored.pairs.same, protocol.positive_ratio
    sorted_pairs = SortedPairs(scored.distances, same)
    if threshold is not None:
        # Of the pairs in order of distance, this many are accepted.
        accepted = np.searchsorted(scored.distances, threshold.value, "right")
        probabilities = threshold.calibration.probability(scored.distances)
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
        if threshold is not None:
            taken, right = weights[:accepted], same[:accepted]
            tp, fp = float(taken[right].sum()), float(taken[~right].sum())
            cells = Confusion(tp, fp, float(curve.fp[-1]) - fp, float(curve.tp[-1]) - tp)
            found |= {name: getattr(balanced_cells(cells, positive_ratio), name) for name in AT_THRESHOLD}
            of_class = np.where(same, positive_ratio / curve.tp[-1], (1 - positive_ratio) / curve.fp[-1])
            found["ece"] = float(np.abs(np.bincount(bins, weights * of_class * gaps, RELIABILITY_BINS)).sum())
        return found

    return with_intervals(statistic, scored.label_a, scored.label_b, protocol.replicates, protocol.seed, advance)


def balanced_cells(cells: Confusion, positive_ratio: float) -> Confusion:
    """The same rates within each class, for a share of `positive_ratio` of same pairs; the cells sum to 1."""
    same, different = positive_ratio, 1 - positive_ratio
    return Confusion(same * cells.recall, different * cells.far, different * (1 - cells.far), same * cells.frr)


def retrieval_metrics(
    embeddings: np.ndarray, labels: np.ndarray, protocol: EvaluationProtocol, advance: Advance = ignore_advance
) -> tuple[dict[str, MetricWithInterval], int]:
    """rank1, rank5, rank10 and mAP of each photo (N, D) as a query against all others; and how many photos were no
    query, being the only one of their identity.
    """
    found = retrieve(embeddings, labels, embeddings, labels, exclude_self=True)

    def statistic(weights: np.ndarray) -> dict[str, float]:
        means = found.summary(weights)
        return {name: means[name] for name in RETRIEVAL_METRICS}

    metrics = with_intervals(statistic, labels, labels, protocol.replicates, protocol.seed, advance)
    return metrics, found.left_out


def with_intervals(
    statistic: Callable[[np.ndarray], dict[str, float]],
    unit_a: np.ndarray,
    unit_b: np.ndarray,
    replicates: int,
    seed: int,
    advance: Advance = ignore_advance,
) -> dict[str, MetricWithInterval]:
    """The metrics of `statistic` with the intervals of `identity_bootstrap`.

    Without intervals for fewer than two units (identities) or no replicates.
    """
    values = statistic(np.ones(len(unit_a)))
    if replicates == 0 or len(np.union1d(unit_a, unit_b)) < 2:
        return {name: MetricWithInterval(value) for name, value in values.items()}

    def counted(weights: np.ndarray) -> dict[str, float]:
        advance()
        return statistic(weights)

    intervals = identity_bootstrap(counted, unit_a, unit_b, replicates=replicates, seed=seed)
    return {
        name: MetricWithInterval(value, intervals[name].low, intervals[name].high) for name, value in values.items()
    }


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
        np.bincount(bins, weights * values, RELIABILITY_BINS) for values in (np.ones(len(same)), probabilities, same)
    )
    size = np.where(total > 0, total, np.nan)
    ece = float(np.abs(predicted - observed).sum() / weights.sum())
    count = np.bincount(bins, minlength=RELIABILITY_BINS)
    return Reliability(np.linspace(0, 1, RELIABILITY_BINS + 1), predicted / size, observed / size, count, ece)


def _bin_of(probabilities: np.ndarray) -> np.ndarray:
    return np.minimum((probabilities * RELIABILITY_BINS).astype(np.intp), RELIABILITY_BINS - 1)
