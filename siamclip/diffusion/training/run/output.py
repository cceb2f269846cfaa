"""What a training of a diffusion model leaves in its folder: the model as diffusers reads it, images, provenance."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from PIL import Image
from safetensors import SafetensorError

from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

PROVENANCE, SKIPPED = "siamclip-ddpm.json", "skipped.csv"
SAMPLES, SAMPLE_STEPS = 16, 25


@contextmanager
def explain_write_errors(out: Path) -> Iterator[None]:
    """Around whatever writes into `out`: OSError, and what safetensors raises in its place, becomes a UserError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError("out", f"cannot be written ({reason})", "make room, then go on with `resume`", out) from error


def write_pipeline(
    out: Path, unet: UNet2DModel, scheduler: DDPMScheduler, half: bool, provenance: Mapping[str, Any]
) -> None:
    """`unet` as a DDPMPipeline in `out`, in fp16 if `half`, and where it comes from. `unet` cannot be used after it.

    Only the weights differ between two saves of a training, and they are replaced in one step: a kill leaves a whole
    model. Raises UserError if it cannot be written.
    """
    for parameter in unet.parameters():  # .to() would warn of half precision, which is meant
        parameter.data = parameter.data.to("cpu", torch.float16 if half else torch.float32).contiguous()
    beside = out / ".pipeline.part"
    with explain_write_errors(out):
        shutil.rmtree(beside, ignore_errors=True)
        DDPMPipeline(unet, cast(Any, scheduler)).save_pretrained(beside)
        files = sorted(file for file in beside.rglob("*") if file.is_file())
        for file in sorted(files, key=lambda file: file.name == "model_index.json"):  # last: it makes a pipeline
            target = out / file.relative_to(beside)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, file.read_bytes())
        shutil.rmtree(beside)
        text = json.dumps(provenance, ensure_ascii=False, indent=1)
        write_atomically(out / PROVENANCE, text.encode("utf-8", "surrogatepass"))


@torch.no_grad()
def sample_images(
    unet: UNet2DModel, scheduler: DDPMScheduler, seed: int, number: int = SAMPLES, precision: torch.dtype | None = None
) -> np.ndarray:
    """uint8 (number, S, S, 3): images from noise by DDIM (Song et al. 2021, arXiv:2010.02502), the same for a seed."""
    device = unet.device
    config = public_config(scheduler.config) | {
        "timestep_spacing": "trailing"
    }  # so that it begins where there is only noise
    sampler = DDIMScheduler.from_config(config)
    sampler.set_timesteps(min(SAMPLE_STEPS, sampler.config["num_train_timesteps"]))
    size = unet.config["sample_size"]
    images = torch.randn((number, 3, size, size), generator=torch.Generator().manual_seed(seed)).to(device)
    for timestep in sampler.timesteps:
        with torch.autocast(device.type, precision) if precision else nullcontext():
            noise = unet(images, timestep.to(device)).sample
        images = sampler.step(noise.float(), timestep, images).prev_sample
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()


def as_grid(images: np.ndarray, columns: int = 4, gap: int = 2) -> np.ndarray:
    """uint8 (N, H, W, 3) -> one picture, uint8, row by row, on white."""
    number, height, width, _ = images.shape
    rows = -(-number // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def write_png(path: Path, image: np.ndarray) -> None:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def write_skipped(out: Path, files: Sequence[tuple[str, str]]) -> None:
    """(path, reason) of every photo that was left out."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("path", "reason"), *sorted(files)])
    write_atomically(out / SKIPPED, text.getvalue().encode("utf-8", "surrogatepass"))


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a network or a schedule, complete, without diffusers' notes on it.

    Among these is a list of the values that were not given, which `from_config` replaces by defaults.
    """
    return {name: value for name, value in config.items() if not name.startswith("_")}
