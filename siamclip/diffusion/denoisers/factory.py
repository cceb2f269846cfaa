"""A diffusion model by name: one that ships, a folder, or a repository of the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from siamclip.diffusion.noise_schedule import read_config
from siamclip.errors import UserError, suggestion

if TYPE_CHECKING:
    import torch

    from siamclip.diffusion.denoisers.denoiser import Denoiser
    from siamclip.diffusion.denoisers.network import Precision

SHIPPED = {"vehicles64": Path(__file__).parents[1] / "vehicles64"}

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_WHAT_IT_HOLDS = (
    "a folder holds a DDPMPipeline or StableDiffusionPipeline (model_index.json), or unet/ and scheduler/, or a "
    "UNet2DModel's config.json beside a scheduler_config.json"
)
_PIXELS = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
_LATENTS = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")


def open_denoiser(name: str, device: torch.device, precision: Precision = "fp32", prompt: str = "") -> Denoiser:
    """`name`: a shipped model, a folder, or "owner/name" on the hub; the first of these that there is.

    Raises UserError for one that is not there, cannot be read, or does not fit.
    """
    folder = find_model(name)
    kind = _kind(folder, name)
    if kind == "latents":
        from siamclip.diffusion.denoisers.latent import LatentDenoiser

        return LatentDenoiser(folder, name, device, precision, prompt)
    if prompt:
        raise UserError("prompt", f"{name} is a model of pixels and is told nothing", "leave it out")
    from siamclip.diffusion.denoisers.pixel import open_pixel_denoiser

    unet, scheduler = _pixel_parts(folder, name)
    return open_pixel_denoiser(unet, scheduler, name, device, precision)


def find_model(name: str) -> Path:
    """The folder of a model. One of the hub comes from its cache, or is fetched. Raises UserError."""
    if name in SHIPPED:
        if not SHIPPED[name].is_dir():
            raise UserError(
                "diffusion",
                f"{SHIPPED[name]} is missing",
                "get the project's files again, or give a folder that augment.py train-ddpm wrote",
                name,
            )
        return SHIPPED[name]
    path = Path(name)
    if path.is_dir():
        return path
    if path.exists():
        raise UserError("diffusion", "is a file", _WHAT_IT_HOLDS, name)
    if _HUB_NAME.fullmatch(name):
        from siamclip.diffusion.denoisers.hub import fetch

        return fetch(name)
    hint = suggestion(name, SHIPPED, f"give {', '.join(SHIPPED)}, a folder, or owner/name on the hub")
    raise UserError("diffusion", "no such model, and no such folder", hint, name)


def _kind(folder: Path, name: str) -> str:
    """ "pixels" or "latents". Raises UserError for a pipeline of another kind."""
    index = folder / "model_index.json"
    if index.is_file():
        pipeline = str(read_config(index, name).get("_class_name"))
        if pipeline in _PIXELS:
            return "pixels"
        if pipeline in _LATENTS:
            return "latents"
        raise UserError(
            "diffusion",
            f"is a {pipeline}, which works in another way",
            "choose a DDPMPipeline, or a StableDiffusionPipeline of version 1.x or 2.x",
            name,
        )
    unet = folder / "unet" / "config.json"
    is_latent = unet.is_file() and read_config(unet, name).get("_class_name") == "UNet2DConditionModel"
    return "latents" if is_latent else "pixels"


def _pixel_parts(folder: Path, name: str) -> tuple[Path, Path]:
    """The folders of the network and of its scheduler_config.json. Old models of the hub keep both in one."""
    for unet in (folder / "unet", folder):
        if not (unet / "config.json").is_file():
            continue
        network = read_config(unet / "config.json", name).get("_class_name")
        if network != "UNet2DModel":
            raise UserError("diffusion", f"{unet / 'config.json'} is of {network}", _WHAT_IT_HOLDS, name)
        for scheduler in (folder / "scheduler", folder, folder.absolute().parent / "scheduler"):
            if (scheduler / "scheduler_config.json").is_file():
                return unet, scheduler
        raise UserError("diffusion", "has a network but no scheduler_config.json", _WHAT_IT_HOLDS, name)
    raise UserError("diffusion", f"{folder} is no diffusion model", _WHAT_IT_HOLDS, name)
