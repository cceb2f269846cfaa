"""Where a training of a diffusion model stands, in OUT/training: with it a killed one goes on as if it had not been.

Photos, noise and timesteps of a step are drawn from the seed and the step's number, so that no generator's state is
part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.training_utils import EMAModel

from siamclip.diffusion.training.run.output import public_config
from siamclip.errors import UserError
from siamclip.models import checkpoint

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
                "out",
                f"cannot be written ({reason})",
                "what was saved before is whole: make room and go on with `resume`",
                out,
            ) from error

    def load(self, out: Path, metadata: dict[str, Any]) -> None:
        """Take up what `save` wrote. Raises UserError if it is damaged."""
        folder = out / FOLDER
        with _reading(out):
            weights, averages, tensors = (
                checkpoint.read_tensors(folder, metadata, part) for part in ("weights", "ema", "optimizer")
            )
        self.unet.load_state_dict(weights)
        for (name, _), average in zip(self.unet.named_parameters(), self.ema.shadow_params, strict=True):
            average.copy_(averages[name])
        self.ema.optimization_step = metadata["ema_steps"]
        self.optimizer.load_state_dict(checkpoint.unpack_optimizer(tensors, metadata["optimizer"]))
        if self.scaler is not None and metadata["scaler"]:
            self.scaler.load_state_dict(metadata["scaler"])
        self.step = metadata["step"]

    def averaged(self) -> UNet2DModel:
        """A network of its own with the averaged weights, in evaluation mode, on the same device."""
        network = UNet2DModel.from_config(public_config(self.unet.config)).to(
            self.unet.device, memory_format=torch.channels_last
        )
        network.load_state_dict(self.unet.state_dict())  # what is no parameter, too
        self.ema.copy_to(network.parameters())
        return network.eval().requires_grad_(False)


def saved_ddpm_metadata(out: Path) -> dict[str, Any]:
    """What a training that can go on was told. Raises UserError if there is none."""
    if not (out / FOLDER / checkpoint.METADATA).is_file():
        raise UserError("resume", f"`out` {out} holds no training that can go on", "leave `resume` out")
    with _reading(out):
        metadata = checkpoint.read_metadata(out / FOLDER)
    if missing := {"step", "ema_steps", "config", "fingerprint", "unet", "scheduler"} - metadata.keys():
        raise _damaged(out, f"{checkpoint.METADATA} has no {min(missing)}")
    return metadata


@contextmanager
def _reading(out: Path) -> Iterator[None]:
    """A checkpoint's errors become errors about the training that should go on."""
    try:
        yield
    except UserError as error:
        raise _damaged(out, f"{error.value}: {error.problem}" if error.value else error.problem) from error


def _damaged(out: Path, reason: str) -> UserError:
    return UserError("resume", f"what {out} saved is damaged ({reason})", "start anew with another `out`")
