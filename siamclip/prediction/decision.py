"""From a distance to an answer: same, different, or too near the threshold to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from siamclip.errors import UserError
from siamclip.metrics.calibration import Calibration, calibration_from_dict

Answer: TypeAlias = Literal["same", "different", "near the threshold"]

DOUBTFUL_BAND = 0.1  # without a calibration: a distance within this share of the threshold is near it


class Comparison(NamedTuple):
    """`confidence` is the calibrated probability that `is_same` is right, in [0, 1]; nan without a calibration."""

    is_same: bool
    distance: float  # Euclidean between unit vectors, in [0, 2]
    confidence: float


@dataclass(frozen=True)
class DecisionRule:
    """Two photos show the same vehicle at distances <= `threshold`; `origin` says where that comes from.

    `doubt_below`: answers with a smaller calibrated probability count as doubtful. Without a calibration nothing
    is known of probabilities, and what lies within DOUBTFUL_BAND of the threshold counts as doubtful.
    """

    threshold: float
    origin: str
    calibration: Calibration | None
    doubt_below: float

    def compare(self, distance: float) -> Comparison:
        """The decision at this distance, with the probability that it is right."""
        is_same = distance <= self.threshold
        probability = self.probability_same(distance)
        return Comparison(is_same, distance, probability if is_same else 1 - probability)

    def probability_same(self, distance: float) -> float:
        """That both photos show the same vehicle, in [0, 1]; nan without a calibration. It knows no threshold."""
        return math.nan if self.calibration is None else float(self.calibration.probability(np.array([distance]))[0])

    def answer(self, comparison: Comparison) -> Answer:
        """ "same" or "different", but for doubtful comparisons."""
        if self.calibration is not None:
            doubtful = comparison.confidence < self.doubt_below
        else:
            doubtful = abs(comparison.distance - self.threshold) <= DOUBTFUL_BAND * self.threshold
        return "near the threshold" if doubtful else "same" if comparison.is_same else "different"

    @classmethod
    def from_checkpoint(cls, metadata: dict[str, Any], threshold: float | None, doubt_below: float) -> DecisionRule:
        """The threshold (unless one is given) and the calibration that a checkpoint's metadata holds.

        Raises UserError for a checkpoint without a usable threshold, or with a damaged calibration.
        """
        stored = metadata.get("calibration")
        calibration = None if stored is None else calibration_from_dict(stored)
        if threshold is not None:
            return cls(threshold, "as given", calibration, doubt_below)
        try:
            chosen = metadata["threshold"]
            value, origin = float(chosen["value"]), f"{chosen['rule']} on {chosen['chosen_on']}"
        except (KeyError, TypeError, ValueError):
            value, origin = math.nan, ""
        if not 0 <= value <= 2:  # written so that NaN fails too
            remedy = "give `threshold`, or let training finish"
            raise UserError("checkpoint", "holds no threshold in [0, 2]", remedy)
        return cls(value, origin, calibration, doubt_below)
