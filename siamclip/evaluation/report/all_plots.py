"""All plots of one evaluation, into one folder."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np

from siamclip.evaluation.measurement.contracts import CalibratedThreshold, ScoredPairs
from siamclip.evaluation.measurement.measure import at_ratio, balanced_cells, reliability_at_ratio
from siamclip.evaluation.report import plots
from siamclip.metrics.verification import Roc, confusion, roc

MOST_POINTS = 4000  # of a curve: more than a plot has columns
MOST_CURVES = 6  # beyond that a plot cannot be read


def draw_all(
    scored: Mapping[str, ScoredPairs], threshold: CalibratedThreshold, positive_ratio: float, folder: Path
) -> dict[str, Path]:
    """name -> PNG. `scored` holds the pairs of each embedder compared; the first is the one that is evaluated."""
    own = next(iter(scored.values()))
    same = own.pairs.same
    files = {name: folder / f"{name}.png" for name in PLOTS}
    cells = confusion(own.distances, same, threshold.value)
    plots.confusion_matrix(cells, files["confusion_matrix"])
    plots.distance_histogram(own.distances, same, threshold.value, files["distance_histogram"])

    shown = islice(scored.items(), MOST_CURVES)
    curves = {name: _thinned(roc(pairs.distances, pairs.pairs.same)) for name, pairs in shown}
    accepts = {name: (curve.far, curve.tar) for name, curve in curves.items()}
    plots.roc_curve(accepts, (cells.far, cells.recall), files["roc"])
    rejects = {name: (curve.far, 1 - curve.tar) for name, curve in curves.items()}
    plots.det_curve(rejects, (cells.far, cells.frr), files["det"])

    balanced = at_ratio(next(iter(curves.values())), positive_ratio)
    accepted = balanced.tp + balanced.fp
    precision = np.divide(balanced.tp, accepted, out=np.ones_like(accepted), where=accepted > 0)
    at_threshold = balanced_cells(cells, positive_ratio)
    point = (at_threshold.recall, at_threshold.precision)
    plots.precision_recall(balanced.tar, precision, point, positive_ratio, files["precision_recall"])

    sweep = {
        "accuracy": balanced.tp + (1 - positive_ratio) - balanced.fp,
        "F1": 2 * balanced.tp / (accepted + positive_ratio),
        "false accept rate": balanced.far,
        "false reject rate": 1 - balanced.tar,
    }
    plots.threshold_sweep(np.maximum(balanced.thresholds, 0), sweep, threshold.value, files["threshold_sweep"])

    found = reliability_at_ratio(threshold.calibration.probability(own.distances), same, positive_ratio)
    plots.reliability_diagram(found, files["reliability"])
    return files


PLOTS = (
    "distance_histogram", "confusion_matrix", "roc", "det", "precision_recall", "threshold_sweep", "reliability",
)  # fmt: skip


def _thinned(curve: Roc) -> Roc:
    """At most MOST_POINTS of its points: the first 1,000, which logarithmic axes show, and the others evenly."""
    last = len(curve.thresholds) - 1
    if last < MOST_POINTS:
        return curve
    kept = np.union1d(np.arange(1000), np.linspace(0, last, MOST_POINTS - 1000).astype(int))
    return Roc(curve.thresholds[kept], curve.tp[kept], curve.fp[kept])
