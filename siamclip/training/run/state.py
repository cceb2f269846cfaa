"""Where a training run stands, in the checkpoint `last`: with it a killed run goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from siamclip.errors import UserError
from siamclip.models import checkpoint
from siamclip.models.encoder import SiameseEncoder


@dataclass
class Progress:
    """The run's own counters; weights and the optimiser's state are beside it in the checkpoint."""

    epoch: int = 0  # epochs done
    batch: int = 0  # batches done in the epoch under way
    step: int = 0  # optimiser steps done
    learning_rate: float = 0.0  # of the last step
    best_auc: float = -1.0
    stale_epochs: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    history: list[dict[str, float]] = field(default_factory=list)  # a row an epoch; row 0 is before training

    def is_over(self, num_epochs: int, early_stopping_patience: int) -> bool:
        """Whether all epochs are done, or `early_stopping_patience` (0: off) of them in a row have not helped."""
        return self.epoch >= num_epochs or 0 < early_stopping_patience <= self.stale_epochs

    def add(self, values: Mapping[str, float]) -> None:
        """A batch's values to the epoch's sums."""
        for name, value in {**values, "batches": 1}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Means over the epoch's batches so far; nothing of them if none had a readable pair."""
        means = {name: total / self.sums["batches"] for name, total in self.sums.items() if name != "batches"}
        return means | {"learning_rate": self.learning_rate}


@dataclass
class TrainingState:
    """The parts of a run whose state is kept. `neighbours` (N, k) are the epoch's hard negatives, if it draws them."""

    encoder: SiameseEncoder
    optimizer: Any
    loss: torch.nn.Module
    scaler: Any  # of fp16 gradients, else None
    progress: Progress = field(default_factory=Progress)
    neighbours: np.ndarray | None = None

    def save(self, folder: Path, metadata: dict[str, Any]) -> None:
        """A kill at any moment leaves this state or the one before it. Raises UserError if it cannot be written."""
        tensors, rest = checkpoint.pack_optimizer(self.optimizer.state_dict())
        training = {f"optimizer.{name}": tensor for name, tensor in tensors.items()}
        training |= {f"loss.{name}": tensor for name, tensor in self.loss.state_dict().items()}
        if self.neighbours is not None:
            training["neighbours"] = torch.from_numpy(self.neighbours)
        state = {
            "progress": asdict(self.progress),
            "optimizer": rest,
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
        }
        parts = {"weights": self.encoder.tower.state_dict(), "training": training}
        checkpoint.save(folder, parts, {**metadata, **state})

    def load(self, folder: Path, metadata: dict[str, Any]) -> None:
        """Take up what `save` wrote into `folder`. Raises UserError if it is damaged or of another architecture."""
        checkpoint.load_weights(self.encoder, checkpoint.read_tensors(folder, metadata, "weights"), folder)
        training = checkpoint.read_tensors(folder, metadata, "training")
        optimizer, loss = (
            {name.removeprefix(prefix): t for name, t in training.items() if name.startswith(prefix)}
            for prefix in ("optimizer.", "loss.")
        )
        self.optimizer.load_state_dict(checkpoint.unpack_optimizer(optimizer, metadata["optimizer"]))
        self.loss.load_state_dict(loss)
        if self.scaler is not None and metadata["scaler"]:
            self.scaler.load_state_dict(metadata["scaler"])
        self.neighbours = training["neighbours"].numpy() if "neighbours" in training else None
        self.progress = Progress(**metadata["progress"])


def saved_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of a run's `last`. Raises UserError if the run has saved nothing to go on with."""
    if not (folder / checkpoint.METADATA).is_file():
        problem = f"{folder.parent} holds no run that can go on (it has saved nothing yet)"
        raise UserError("resume", problem, "leave `resume` out")
    return checkpoint.read_metadata(folder)


def photos_fingerprint(root: Path, paths: Sequence[str]) -> str:
    """A hash of the photos' names, order and sizes in bytes: a run goes on only with those it was started with."""
    digest = xxhash.xxh3_128()
    for path in paths:
        digest.update(path.encode("utf-8", "surrogatepass") + b"\0%d\0" % (root / path).stat().st_size)
    return digest.hexdigest()
