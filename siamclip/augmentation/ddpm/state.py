"""Where a training of a diffusion model stands, in OUT/training: with it a killed one goes on as if it had not been.

Photos, noise and timesteps of a step are drawn from the seed and the step's number, so that no generator's state is
part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel

from siamclip import checkpoint
from siamclip.errors import UserError

FOLDER = "training"


@dataclass
class DdpmState:
    unet: UNet2DModel
    ema: EMAModel
    optimizer: Any
    scaler: Any  # of fp16 gradients, else None
    step: int = 0  # optimiser steps done

    def save(self, out: Path, metadata: dict[str, Any]) -> None:
        """A kill at any moment leaves this state or the one before it. Raises UserError if it cannot be written."""
        names = [name for name, _ in self.unet.named_parameters()]
        tensors, rest = checkpoint.pack_optimizer(self.optimizer.state_dict())
        parts = {
            "weights": self.unet.state_dict(),
            "ema": dict(zip(names, self.ema.shadow_params, strict=True)),
            "optimizer": tensors,
        }
        state = {
            "step": self.step,
            "ema_steps": self.ema.optimization_step,
            "optimizer": rest,
            "scaler": self.scaler.state_dict() if self.scaler is not None else None,
        }
        try:
            checkpoint.save(out / FOLDER, parts, {**metadata, **state})
        except UserError as error:
            reason = getattr(error.__cause__, "strerror", error)
            raise UserError(
                f"--out {out}: cannot be written ({reason}); what was saved before is whole: make room and go on "
                "with --resume"
            ) from error

    def load(self, out: Path, metadata: dict[str, Any]) -> None:
        """Take up what `save` wrote. Raises UserError if it is damaged."""
        folder = out / FOLDER
        self.unet.load_state_dict(checkpoint.read_tensors(folder, metadata, "weights"))
        averages = checkpoint.read_tensors(folder, metadata, "ema")
        for name, average in zip(
            (name for name, _ in self.unet.named_parameters()), self.ema.shadow_params, strict=True
        ):
            average.copy_(averages[name])
        self.ema.optimization_step = metadata["ema_steps"]
        tensors = checkpoint.read_tensors(folder, metadata, "optimizer")
        self.optimizer.load_state_dict(checkpoint.unpack_optimizer(tensors, metadata["optimizer"]))
        if self.scaler is not None and metadata["scaler"]:
            self.scaler.load_state_dict(metadata["scaler"])
        self.step = metadata["step"]


def saved_metadata(out: Path) -> dict[str, Any]:
    """What a training that can go on was told. Raises UserError if there is none."""
    if not (out / FOLDER / checkpoint.METADATA).is_file():
        raise UserError(f"--resume: --out {out} holds no training that can go on; leave --resume out")
    return checkpoint.read_metadata(out / FOLDER)
