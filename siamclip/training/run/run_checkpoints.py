"""The checkpoints of a training run: `best`, `epoch-NNN`, and `last`, from which the run can go on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from siamclip.errors import UserError
from siamclip.models import checkpoint
from siamclip.training.optimisation import wise_ft
from siamclip.training.run.state import TrainingState, saved_metadata
from siamclip.training.validation import Validation, threshold_and_calibration


class RunCheckpoints:
    """`folder` is checkpoints/<run>; `about()` is what every checkpoint says of the run: its settings, and more.

    `fingerprints` are of the photos: the run can only go on with the same ones.
    """

    def __init__(
        self, folder: Path, state: TrainingState, fingerprints: list[str], about: Callable[[], dict[str, Any]]
    ) -> None:
        self.folder, self.state, self.fingerprints, self.about = folder, state, fingerprints, about

    def save(self, name: str, found: Validation, positive_ratio: float, wise_ft_alpha: float | None = None) -> None:
        """The weights as they are now, what validation found of them, and the threshold that it prefers."""
        metadata = {
            **self._metadata(),
            "wise_ft_alpha": wise_ft_alpha,
            "metrics": found.metrics,
            **threshold_and_calibration(found.distances, found.same, positive_ratio),
        }
        checkpoint.save(self.folder / name, {"weights": self.state.encoder.tower.state_dict()}, metadata)

    def blend_best(
        self, pretrained: dict[str, torch.Tensor], validate: Callable[[], Validation], positive_ratio: float
    ) -> float:
        """Make `best` the blend of its weights and the pretrained ones that validates best; returns the share of the
        former. A `best` that already is such a blend stays."""
        folder, tower = self.folder / "best", self.state.encoder.tower
        metadata = checkpoint.read_metadata(folder)
        if metadata["wise_ft_alpha"] is not None:
            return float(metadata["wise_ft_alpha"])
        finetuned = checkpoint.read_tensors(folder, metadata, "weights")
        self.state.progress.epoch = metadata["epoch"]
        alpha = wise_ft(tower, pretrained, finetuned, lambda: validate().metrics["val_auc"])
        self.save("best", validate(), positive_ratio, wise_ft_alpha=alpha)
        return alpha

    def save_last(self) -> None:
        self.state.save(self.folder / "last", self._metadata() | {"photos": self.fingerprints})

    def resume(self) -> None:
        """Take up the state of `last`. Raises UserError if the photos are not those it was trained on."""
        metadata = saved_metadata(self.folder / "last")
        if metadata["photos"] != self.fingerprints:
            problem = "photos were added, removed, moved or changed since it stopped"
            raise UserError("resume", problem, "start a new run", self.folder.name)
        self.state.load(self.folder / "last", metadata)

    def can_resume(self) -> bool:
        """Whether anything was saved to go on from."""
        return (self.folder / "last" / checkpoint.METADATA).exists()

    def _metadata(self) -> dict[str, Any]:
        return {
            "run": self.folder.name,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "encoder": self.state.encoder.spec.to_dict(),
            **self.about(),
            "epoch": self.state.progress.epoch,
        }
