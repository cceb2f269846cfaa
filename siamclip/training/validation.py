"""What is measured after each epoch, and what a checkpoint keeps of it: figures, threshold, calibration."""

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
    figures: dict[str, float]
    distances: np.ndarray  # (P,)
    same: np.ndarray  # (P,)
    collapse: Collapse


def validate(
    embeddings: np.ndarray,
    pairs: Pairs,
    margin: float,
    positive_margin: float,
    threshold: float,
    positive_ratio: float,
    seed: int,
) -> Validation:
    """Figures of (N, D) unit vectors on fixed pairs, weighted to a share of `positive_ratio` of same pairs."""
    distances = pair_distances(embeddings, np.stack([pairs.first, pairs.second], axis=1))
    weights = balance(pairs.same, positive_ratio)
    found = summary(distances, pairs.same, threshold, fars=(), weights=weights)
    losses = contrastive_loss(torch.from_numpy(distances), torch.from_numpy(pairs.same), margin, positive_margin)
    collapse = collapse_report(embeddings, seed)
    figures = {
        "val_loss": float(np.average(losses.numpy(), weights=weights)),
        "val_auc": found["auc"],
        "val_eer": found["eer"],
        "val_accuracy": found["accuracy"],
        "mean_cosine": collapse.mean_cosine,
        "effective_rank": collapse.effective_rank,
    }
    return Validation(figures, distances, pairs.same, collapse)


def decision(distances: np.ndarray, same: np.ndarray, positive_ratio: float) -> dict[str, Any]:
    """The threshold of the best F1 and Platt's calibration, JSON-safe, at a share of `positive_ratio` same pairs."""
    threshold = choose_threshold(distances, same, "f1", weights=balance(same, positive_ratio))
    return {
        "threshold": {"value": threshold, "rule": "f1", "chosen_on": "validation"},
        "calibration": fit_calibration(distances, same, "platt", prior=positive_ratio).to_dict(),
    }
