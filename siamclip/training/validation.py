"""What is measured after each epoch, and what a checkpoint keeps of it: metrics, threshold, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siamclip.data.collection import Collection, check_usable
from siamclip.data.loader import PhotoLoader
from siamclip.data.pairs import Pairs, balance, fixed_pairs
from siamclip.errors import UserError
from siamclip.metrics.calibration import fit_calibration
from siamclip.metrics.collapse import Collapse, collapse_report
from siamclip.metrics.pair_distances import pair_distances
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


@dataclass(frozen=True)
class ValidationSettings:
    """Pairs and what is measured on them; the fields have the names of the run's settings (val_pairs_per_class ...)."""

    pairs_per_class: int
    positive_ratio: float
    margin: float
    positive_margin: float
    threshold: float | None
    seed: int


class Validator:
    """Measures an encoder on the validation side: in every epoch on the same pairs of the same photos.

    open_loader: what loads given files. embed: a loader's photos -> (N, D) float32 by the weights as they are now, with
    rows of NaN for those that cannot be read. unreadable: (path, reason) of the photos that were dropped.
    """

    def __init__(
        self,
        photos: Collection,
        open_loader: Callable[[Sequence[Path]], PhotoLoader],
        embed: Callable[[PhotoLoader], np.ndarray],
        settings: ValidationSettings,
    ) -> None:
        self.photos, self.settings = photos, settings
        self.unreadable: list[tuple[str, str]] = []
        self._open_loader, self._embed = open_loader, embed
        self._loader = open_loader(photos.files)

    def drop_unreadable(self) -> Collection:
        """Decode all photos once, and keep and return those that can be read. Raises UserError if these are too few."""
        self._embed(self._loader)
        if failures := self._loader.failures:
            self.unreadable = [(self.photos.paths[i], why) for i, why in failures.items()]
            self.photos = self.photos.select(~np.isin(np.arange(len(self.photos)), list(failures)))
            check_usable("validation", self.photos)
            self._loader = self._open_loader(self.photos.files)
        return self.photos

    def __call__(self) -> Validation:
        """Raises UserError for a photo that can no longer be read, FloatingPointError for embeddings without value."""
        embeddings, given = self._embed(self._loader), self.settings
        for i, why in self._loader.failures.items():
            problem = f"{self.photos.files[i]}: can no longer be read ({why})"
            raise UserError("", problem, "put it back and go on with `resume`")
        if not np.isfinite(embeddings).all():
            raise FloatingPointError("the weights became so large that embeddings are not finite")
        pairs = fixed_pairs(self.photos.labels, given.pairs_per_class, given.positive_ratio, given.seed)
        measured_with = (given.margin, given.positive_margin, given.threshold, given.positive_ratio, given.seed)
        return validate(embeddings, pairs, *measured_with)


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
