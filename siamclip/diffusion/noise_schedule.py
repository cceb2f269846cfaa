"""The noise that a diffusion model was trained with, from its scheduler_config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch

from siamclip.diffusion.sampler_schedule import Prediction, SamplerSchedule, make_sampler_schedule
from siamclip.errors import UserError

# Left by whoever saved the file; the model is the same without.
_PROVENANCE = ("_diffusers_version", "_name_or_path", "_commit_hash", "_use_default_values")


@dataclass(frozen=True)
class NoiseSchedule:
    """abar of the training steps, float64 (N,), and what the network predicts; `clip` as in SamplerSchedule."""

    alphas_cumprod: np.ndarray
    prediction: Prediction
    clip: float | None

    def schedule(self, steps: int, eta: float, name: str) -> SamplerSchedule:
        """Raises UserError for more steps than the model called `name` was trained with."""
        trained = len(self.alphas_cumprod)
        if steps > trained:
            raise UserError("steps", f"{name} was trained with {trained} steps", f"give at most {trained}", steps)
        return make_sampler_schedule(self.alphas_cumprod, steps, eta, self.prediction, self.clip)

    def described(self) -> bytes:
        """For a fingerprint."""
        return repr((self.prediction, self.clip)).encode() + self.alphas_cumprod.tobytes()


def read_config(path: Path, name: str) -> dict[str, Any]:
    """A JSON object of a model called `name`, without what says nothing of the model. Raises UserError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("diffusion", f"{path} cannot be read ({error})", "copy the model again", name) from None
    if not isinstance(values, dict):
        raise UserError("diffusion", f"{path} is not a configuration", "copy the model again", name)
    return {key: value for key, value in values.items() if key not in _PROVENANCE}


def noise_schedule_of(config: Mapping[str, Any], name: str) -> NoiseSchedule:
    """From a diffusers scheduler's configuration; which sampler it names does not matter, its betas do.

    Raises UserError for schedulers without betas (flow matching, variance exploding), and for what the noise space
    cannot follow.
    """
    import diffusers

    kind = str(config.get("_class_name"))
    scheduler_class = getattr(diffusers, kind, None)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, diffusers.SchedulerMixin)):
        raise UserError("diffusion", f"its scheduler {kind} is none of diffusers {diffusers.__version__}", value=name)
    try:
        scheduler = scheduler_class.from_config(dict(config))
    except Exception as error:  # whatever a constructor thinks of its arguments
        raise UserError("diffusion", f"its {kind} cannot be built ({_first_line(error)})", value=name) from error
    betas = getattr(scheduler, "betas", None)
    if not isinstance(betas, torch.Tensor):
        raise UserError(
            "diffusion",
            f"its scheduler {kind} has no betas, as flow matching and score models have none",
            "choose a model that was trained as a DDPM",
            name,
        )
    alphas_cumprod = np.cumprod(1 - betas.double().numpy())
    if not np.allclose(alphas_cumprod, np.asarray(scheduler.alphas_cumprod), rtol=1e-3, atol=1e-6):
        raise UserError("diffusion", f"its scheduler {kind} shifts the betas' noise", "choose another model", name)
    if not (alphas_cumprod[0] < 1 and (np.diff(alphas_cumprod) < 0).all()):
        raise UserError(
            "diffusion",
            f"its scheduler {kind} has steps that add no noise, of which there is no noise map",
            "choose another model",
            name,
        )
    # With the defaults of the class for what the file leaves out.
    values = scheduler.config
    prediction = values.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        wanted = ", ".join(get_args(Prediction))
        raise UserError("diffusion", f"predicts {prediction!r}", f"choose a model that predicts one of {wanted}", name)
    if prediction == "epsilon" and alphas_cumprod[-1] <= 0:
        raise UserError(
            "diffusion",
            "its last step is noise alone (rescale_betas_zero_snr), from which a predicted noise gives no image",
            "choose a model that predicts v",
            name,
        )
    if values.get("thresholding"):
        raise UserError(
            "diffusion",
            "its scheduler clips by quantiles of each image (thresholding), which the noise space does not",
            'set "thresholding" to false in its scheduler_config.json',
            name,
        )
    clip = float(values.get("clip_sample_range", 1.0)) if values.get("clip_sample") else None
    return NoiseSchedule(alphas_cumprod, cast(Prediction, prediction), clip)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].replace("`", "'")
