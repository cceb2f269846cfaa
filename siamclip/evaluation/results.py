"""The results of an evaluation: what metrics.json holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.data.collection import Collection
from siamclip.evaluation.cloned_plates import ClonedPairs
from siamclip.evaluation.measure import (
    Decision,
    Figure,
    Measured,
    Protocol,
    Side,
    rates_of_all_pairs,
)


@dataclass
class Photos:
    """The photos that are evaluated, and those that choose threshold and calibration (None: there are none)."""

    evaluated: Collection
    validation: Collection | None
    left_out: list[tuple[str, str]]  # path, reason
    warnings: list[str] = field(default_factory=list)  # what makes the figures less than fair, and what is missing

    def files(self) -> list[Path]:
        """Each file once, even where the two overlap."""
        return list(dict.fromkeys([*self.evaluated.files, *(self.validation.files if self.validation else ())]))


def as_json(figures: Mapping[str, Figure]) -> dict[str, dict[str, float | None]]:
    return {name: figure.to_dict() for name, figure in figures.items()}


def described_photos(photos: Photos, own: Measured) -> dict[str, Any]:
    validation = photos.validation
    return {
        "evaluated": len(photos.evaluated),
        "identities": len(photos.evaluated.identities),
        "validation": len(validation) if validation else 0,
        "validation_identities": len(validation.identities) if validation else 0,
        "alone_in_their_identity": own.lone_photos,
        "left_out": dict(Counter(reason for _, reason in photos.left_out).most_common()),
        "files_left_out": [{"path": path, "reason": reason} for path, reason in photos.left_out],
    }


def described_pairs(side: Side, positive_ratio: float) -> dict[str, Any]:
    same = int(np.count_nonzero(side.pairs.same))
    different = len(side.pairs) - same
    existing = len(side.labels) * (len(side.labels) - 1) // 2 - same
    return {
        "same": same,
        "different": different,
        "different_existing": existing,
        "positive_ratio": positive_ratio,
    }


def described_decision(decision: Decision, protocol: Protocol, metadata: dict[str, Any]) -> dict[str, Any]:
    chosen = decision.chosen_on == "validation"
    return {
        "threshold": decision.threshold,
        "rule": protocol.rule if chosen else metadata["threshold"].get("rule"),
        "target_far": protocol.target_far if chosen else metadata["threshold"].get("target_far"),
        "chosen_on": decision.chosen_on,
        "calibration": decision.calibration.to_dict(),
    }


def every_pair(side: Side, threshold: float) -> dict[str, float | int] | None:
    """Rates over all pairs, where those that are listed are a sample."""
    total = len(side.labels) * (len(side.labels) - 1) // 2
    return rates_of_all_pairs(side.embeddings, side.labels, threshold) if len(side.pairs) < total else None


def described_clones(clones: ClonedPairs, figures: Mapping[str, Figure], listed: bool) -> dict[str, Any] | None:
    """None where there are no such pairs and none were `listed` in a CSV."""
    if not len(clones) and not listed:
        return None
    return {
        "source": clones.source,
        "pairs": len(clones),
        "clones": int(np.count_nonzero(~clones.pairs.same)),
        "same": int(np.count_nonzero(clones.pairs.same)),
        "plates": len(np.unique(clones.plates)),
        "figures": as_json(figures),
        "outside": clones.outside,
        "missing": clones.missing,
        "one_folder": clones.one_folder,
    }
