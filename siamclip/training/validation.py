"""What is measured after each epoch, and what a checkpoint keeps of it: metrics, threshold, calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from siamclip.data.pairs import Pairs, balance
from siamclip.metrics.calibration import fit_calibration
from siamclip.metrics.collapse import Collapse, collapse_report
from siamclip.metrics.pairs import pair_distances
from siamclip.metrics.verification import choose_threshold, summary
from siamclip.training.losses import contrastive_loss


@dataclass(frozen=True)
class Validation:
    """metrics: a row of the history. `val_accuracy` is stated at the fixed distance of the setting `threshold`; without
    one, `val_accuracy_at_threshold` is stated at `val_threshold`, which has the best F1 on these pairs.
    """

    metrics: dict[str, float]
    distances: np.ndarray  # (P,)
    same: np.ndarray  # (P,)
    collapse: Collapse


def validate(
    embeddings: np.ndarray,
    pairs: Pairs,
    margin: float,
    positive_margin: float,
    threshold: float | None,
    positive_ratio: float,
    seed: int,
) -> Validation:
    """Metrics of (N, D) unit vectors on fixed pairs, weighted to a share of `positive_ratio` of same pairs.

    `threshold`: a fixed distance at which to state the accuracy (None: the one with the best F1).
    """
    distances = pair_distances(embeddings, np.stack([pairs.first, pairs.second], axis=1))
    weights = balance(pairs.same, positive_ratio)
    chosen = best_f1_threshold(distances, pairs.same, positive_ratio) if threshold is None else threshold
    found = summary(distances, pairs.same, chosen, fars=(), weights=weights)
    accuracy = {"val_threshold": chosen, "val_accuracy_at_threshold": found["accuracy"]}
    losses = contrastive_loss(torch.from_numpy(distances), torch.from_numpy(pairs.same), margin, positive_margin)
    collapse = collapse_report(embeddings, seed)
    metrics = {
        "val_loss": float(np.average(losses.numpy(), weights=weights)),
        "val_auc": found["auc"],
        "val_eer": found["eer"],
        **(accuracy if threshold is None else {"val_accuracy": found["accuracy"]}),
        "mean_cosine": collapse.mean_cosine,
        "effective_rank": collapse.effective_rank,
    }
    return Validation(metrics, distances, pairs.same, collapse)


def best_f1_threshold(distances: np.ndarray, same: np.ndarray, positive_ratio: float) -> float:
    """The distance, in [0, 2], up to which (P,) pairs are best judged the same, by F1."""
    return choose_threshold(distances, same, "f1", weights=balance(same, positive_ratio))


def threshold_and_calibration(distances: np.ndarray, same: np.ndarray, positive_ratio: float) -> dict[str, Any]:
    """The threshold of the best F1 and Platt's calibration, JSON-safe, at a share of `positive_ratio` same pairs."""
    threshold = best_f1_threshold(distances, same, positive_ratio)
    return {
        "threshold": {"value": threshold, "rule": "f1", "chosen_on": "validation"},
        "calibration": fit_calibration(distances, same, "platt", prior=positive_ratio).to_dict(),
    }
