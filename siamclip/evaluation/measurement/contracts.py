"""What goes into a measurement and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from siamclip.data.pairs import Pairs
from siamclip.metrics.calibration import Calibration, Method
from siamclip.metrics.verification import ThresholdRule


@dataclass(frozen=True)
class EvaluationProtocol:
    """How to measure: the same for every embedder that is compared.

    rule, target_far: how validation chooses the threshold. calibration: how it turns a distance into a probability.
    positive_ratio: the share of same pairs for which accuracy, precision, F1 and probabilities are stated.
    replicates: of the bootstrap (0: no intervals). seed: of the bootstrap.
    """

    rule: ThresholdRule = "f1"
    target_far: float | None = None  # with the rule "far"
    calibration: Method = "platt"
    positive_ratio: float = 0.5
    replicates: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class MetricWithInterval:
    """The value of a metric and its 95% interval.

    All nan where undefined; the bounds too where too many replicates were.
    """

    value: float
    low: float = math.nan
    high: float = math.nan

    def to_dict(self) -> dict[str, float | None]:
        """JSON-safe: nan becomes None."""
        return {name: None if math.isnan(number) else number for name, number in asdict(self).items()}


@dataclass(frozen=True)
class CalibratedThreshold:
    """Pairs are judged "same" up to the distance `value`, in [0, 2]; `calibration` turns a distance into a probability.

    chosen_on: "validation", or "checkpoint" for what that stores.
    """

    value: float
    calibration: Calibration
    chosen_on: str


@dataclass(frozen=True)
class EmbeddedPhotos:
    """Photos to measure on, as one embedder sees them.

    (N, D) float32 unit vectors, (N,) sorted labels, and the pairs that count.
    """

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
class Measurement:
    """What was measured of one embedder. threshold: None where nothing could choose one.

    photos_alone: how many photos were no query of retrieval, being the only one of their identity.
    """

    threshold: CalibratedThreshold | None
    scored: ScoredPairs
    metrics: dict[str, MetricWithInterval]
    photos_alone: int
