"""The parts of metrics.json, which other programs read: their keys stay as they are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from siamclip.data.collection import Collection
from siamclip.evaluation.measurement.cloned_plates import ClonedPairs
from siamclip.evaluation.measurement.contracts import (
    CalibratedThreshold,
    EmbeddedPhotos,
    EvaluationProtocol,
    Measurement,
    MetricWithInterval,
)
from siamclip.evaluation.measurement.measure import rates_of_all_pairs


def metrics_entry(metrics: Mapping[str, MetricWithInterval]) -> dict[str, dict[str, float | None]]:
    return {name: metric.to_dict() for name, metric in metrics.items()}


def photos_entry(
    evaluated: Collection, validation: Collection | None, alone: int, left_out: list[tuple[str, str]]
) -> dict[str, Any]:
    """alone: photos without another one of their identity. left_out: (path, reason)."""
    return {
        "evaluated": len(evaluated),
        "identities": len(evaluated.identities),
        "validation": len(validation) if validation else 0,
        "validation_identities": len(validation.identities) if validation else 0,
        "alone_in_their_identity": alone,
        "left_out": dict(Counter(reason for _, reason in left_out).most_common()),
        "files_left_out": [{"path": path, "reason": reason} for path, reason in left_out],
    }


def pairs_entry(photos: EmbeddedPhotos, positive_ratio: float) -> dict[str, Any]:
    same = int(np.count_nonzero(photos.pairs.same))
    different = len(photos.pairs) - same
    existing = len(photos.labels) * (len(photos.labels) - 1) // 2 - same
    return {
        "same": same,
        "different": different,
        "different_existing": existing,
        "positive_ratio": positive_ratio,
    }


def threshold_entry(
    threshold: CalibratedThreshold, protocol: EvaluationProtocol, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """metadata: the checkpoint's, which says how its own threshold was chosen."""
    by_validation = threshold.chosen_on == "validation"
    return {
        "threshold": threshold.value,
        "rule": protocol.rule if by_validation else metadata["threshold"].get("rule"),
        "target_far": protocol.target_far if by_validation else metadata["threshold"].get("target_far"),
        "chosen_on": threshold.chosen_on,
        "calibration": threshold.calibration.to_dict(),
    }


def all_pairs_entry(photos: EmbeddedPhotos, threshold: float) -> dict[str, float | int] | None:
    """Rates over all pairs, where those that are listed are a sample."""
    total = len(photos.labels) * (len(photos.labels) - 1) // 2
    return rates_of_all_pairs(photos.embeddings, photos.labels, threshold) if len(photos.pairs) < total else None


def comparison_entry(name: str, found: Measurement) -> dict[str, Any]:
    """One of the embedders that are compared."""
    threshold = found.threshold.value if found.threshold else None
    return {"name": name, "threshold": threshold, "figures": metrics_entry(found.metrics)}


def cloned_plates_entry(
    clones: ClonedPairs, metrics: Mapping[str, MetricWithInterval], listed: bool
) -> dict[str, Any] | None:
    """None where there are no such pairs and none were `listed` in a CSV."""
    if not len(clones) and not listed:
        return None
    return {
        "source": clones.source,
        "pairs": len(clones),
        "clones": int(np.count_nonzero(~clones.pairs.same)),
        "same": int(np.count_nonzero(clones.pairs.same)),
        "plates": len(np.unique(clones.plates)),
        "figures": metrics_entry(metrics),
        "outside": clones.outside,
        "missing": clones.missing,
        "one_folder": clones.one_folder,
    }


def json_safe(value: Any) -> Any:
    """The same with null for nan, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
