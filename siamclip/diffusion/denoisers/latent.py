"""A latent diffusion model: Stable Diffusion 1.x and 2.x (Rombach et al. 2022, arXiv:2112.10752).

The noise space is that of the autoencoder's latents. The network is told one prompt, empty by default, and asked once
a step: without classifier-free guidance, which amplifies errors, an image's maps are those of the model itself.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siamclip.diffusion.denoisers.network import (
    Precision,
    check_precision,
    computing_in,
    fingerprint_of,
    load_part,
    square_side,
)
from siamclip.diffusion.denoisers.pixel import from_unit_range, to_unit_range
from siamclip.diffusion.noise_schedule import noise_schedule_of, read_config
from siamclip.diffusion.sampler_schedule import SamplerSchedule
from siamclip.errors import UserError, reason_of


class LatentDenoiser:
    """A `Denoiser` (denoiser.py) whose x_0 are latents: the mean of the autoencoder's posterior, scaled.

    Photos come back only as well as the autoencoder draws them; that is computed in fp32 whatever the precision.
    """

    def __init__(
        self, folder: Path, name: str, device: torch.device, precision: Precision = "fp32", prompt: str = ""
    ) -> None:
        """`folder` is that of a StableDiffusionPipeline. Raises UserError for what does not fit."""
        if importlib.util.find_spec("transformers") is None:
            raise UserError(
                "diffusion", "Stable Diffusion needs transformers for its prompt", "pip install transformers", name
            )
        from diffusers import AutoencoderKL, UNet2DConditionModel

        check_precision(precision, device)
        configs = [read_config(folder / part / "config.json", name) for part in ("unet", "vae", "text_encoder")]
        unet, vae, _ = configs
        _check_unet(unet, vae, name)
        self._noise = noise_schedule_of(read_config(folder / "scheduler" / "scheduler_config.json", name), name)
        factor = 2 ** (len(vae.get("block_out_channels", (64,))) - 1)
        side = square_side(unet, name)
        self.name, self.image_side, self.shape = name, side * factor, (unet.get("in_channels", 4), side, side)
        self._device, self._precision = device, precision
        self._scale = float(vae.get("scaling_factor", 0.18215))
        text_encoder, self._prompt = _read_prompt(folder, name, prompt)
        if self._prompt.shape[-1] != unet.get("cross_attention_dim", 1280):
            raise UserError(
                "diffusion",
                f"its network takes prompts of {unet.get('cross_attention_dim', 1280)} numbers a word, and its text "
                f"encoder gives {self._prompt.shape[-1]}",
                "these do not belong together",
                name,
            )
        self._vae = load_part(AutoencoderKL, folder / "vae", name, device)
        self._network = load_part(UNet2DConditionModel, folder / "unet", name, device)
        self._network.to(memory_format=torch.channels_last)
        self.fingerprint = fingerprint_of(
            [self._network, self._vae, text_encoder],
            configs,
            self._noise.described(),
            precision.encode(),
            prompt.encode(),
        )
        self._prompt = self._prompt.to(device)

    def schedule(self, steps: int, eta: float) -> SamplerSchedule:
        return self._noise.schedule(steps, eta, self.name)

    @torch.inference_mode()
    def encode(self, photos: np.ndarray) -> torch.Tensor:
        with computing_in("fp32", self._device):
            posterior = self._vae.encode(to_unit_range(photos, self._device)).latent_dist
        return posterior.mean * self._scale

    @torch.inference_mode()
    def decode(self, x0: torch.Tensor) -> np.ndarray:
        with computing_in("fp32", self._device):
            images = self._vae.decode(x0.to(torch.float32) / self._scale, return_dict=False)[0]
        return from_unit_range(images)

    @torch.inference_mode()
    def predict(self, x_t: torch.Tensor, timestep: int) -> torch.Tensor:
        latents = x_t.to(torch.float32).contiguous(memory_format=torch.channels_last)
        prompts = self._prompt.expand(len(latents), -1, -1)
        with computing_in(self._precision, self._device):
            output = self._network(latents, timestep, prompts, return_dict=False)[0]
        return output.to(x_t.dtype).contiguous()


def _check_unet(unet: dict[str, Any], vae: dict[str, Any], name: str) -> None:
    channels = unet.get("in_channels", 4), unet.get("out_channels", 4)
    latents = vae.get("latent_channels", 4)
    if channels != (latents, latents):
        raise UserError(
            "diffusion",
            f"its network takes {channels[0]} channels and gives {channels[1]}, and its latents have {latents}",
            "models of inpainting, depth or upscaling do not fit: choose one of text to image",
            name,
        )
    for key in ("class_embed_type", "num_class_embeds", "addition_embed_type", "encoder_hid_dim_type"):
        if unet.get(key) is not None:
            raise UserError(
                "diffusion",
                f"its network is told more than a prompt ({key} {unet[key]})",
                "choose a Stable Diffusion 1.x or 2.x",
                name,
            )


def _read_prompt(folder: Path, name: str, prompt: str) -> tuple[torch.nn.Module, torch.Tensor]:
    """The text encoder and what it makes of the prompt, float32 (1, tokens, dimension): on the CPU, and once."""
    from transformers import CLIPTextModel, CLIPTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # for a file that is read in a second
    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except Exception as error:  # as in load_part
        reason = reason_of(error)
        raise UserError("diffusion", f"its tokenizer cannot be loaded ({reason})", value=name) from error
    encoder = load_part(CLIPTextModel, folder / "text_encoder", name, torch.device("cpu"))
    longest = tokenizer.model_max_length
    length = len(tokenizer(prompt).input_ids)
    if length > longest:
        raise UserError("prompt", f"is {length} tokens long, and {name} reads {longest}", "shorten it")
    tokens = tokenizer(prompt, padding="max_length", max_length=longest, return_tensors="pt")
    mask = tokens.attention_mask if getattr(encoder.config, "use_attention_mask", False) else None
    with torch.inference_mode():
        return encoder, encoder(tokens.input_ids, attention_mask=mask)[0]
