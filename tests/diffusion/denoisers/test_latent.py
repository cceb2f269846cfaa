"""Stable Diffusion, shrunk: what is computed in latents, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from siamclip.diffusion.ddpm_inversion import generate, invert
from siamclip.diffusion.denoisers.factory import open_denoiser
from siamclip.errors import UserError
from tests.augmentation.fusion.tiny_models import save_pipeline

CPU = torch.device("cpu")
SIDE, FACTOR, WORDS = 8, 2, 12


def _tokenizer(folder: Path) -> Any:
    """One token a letter; the last one's ends its word."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({entry: number for number, entry in enumerate(entries)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=WORDS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionPipeline of random weights."""
    pytest.importorskip("transformers", reason="Stable Diffusion needs transformers")
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    folder = tmp_path_factory.mktemp("models")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            SIDE, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, attention_head_dim=4,
            norm_num_groups=4, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, sample_size=SIDE * FACTOR,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
        config = CLIPTextConfig(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=54,
            max_position_embeddings=WORDS, bos_token_id=52, eos_token_id=53, pad_token_id=53,
        )  # fmt: skip
        text_encoder = CLIPTextModel(config)
    scheduler = PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae, text_encoder, _tokenizer(folder / "tokenizer"), unet, scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "tiny")
    return folder / "tiny"


def _edited(model: Path, folder: Path, part: str, **changes: Any) -> str:
    shutil.copytree(model, folder)
    path = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(folder)


def test_it_computes_what_the_pipeline_does_without_guidance(model: Path) -> None:
    from diffusers import StableDiffusionPipeline

    peer = StableDiffusionPipeline.from_pretrained(model)
    x = torch.randn(2, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    photos = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for prompt in ("", "a van"):
        opened = open_denoiser(str(model), CPU, prompt=prompt)
        assert (opened.shape, opened.image_side) == ((4, SIDE, SIDE), SIDE * FACTOR)
        with torch.no_grad():
            told, _ = peer.encode_prompt(prompt, CPU, 2, do_classifier_free_guidance=False)
            expected = peer.unet(x, 401, encoder_hidden_states=told).sample
            latents = (
                peer.vae.encode(peer.image_processor.preprocess(photos / 255.0).float()).latent_dist.mean * 0.18215
            )
            images = peer.vae.decode(latents / 0.18215).sample
        torch.testing.assert_close(opened.predict(x, 401), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(opened.encode(photos), latents, rtol=1e-4, atol=1e-5)
        pixels = peer.image_processor.postprocess(images, output_type="np") * 255
        assert np.abs(opened.decode(opened.encode(photos)) - pixels).max() <= 0.51
    schedule = opened.schedule(1000, 1.0)
    assert (schedule.prediction, schedule.clip) == ("epsilon", None)
    np.testing.assert_allclose(schedule.alpha_bar[1:], peer.scheduler.alphas_cumprod.numpy(), rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 10])
def test_latents_come_back_from_their_maps(model: Path, steps: int) -> None:
    opened = open_denoiser(str(model), CPU, prompt="a bus")
    photos = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    x_0 = opened.encode(photos)
    schedule = opened.schedule(steps, 1.0)
    back = generate(opened.predict, invert(opened.predict, x_0, schedule, 0, [1, 2]), schedule)
    assert (back - x_0).square().mean() < 1e-6 * x_0.square().max()  # 60 dB
    levels = opened.decode(x_0).astype(int) - opened.decode(back)
    assert np.abs(levels).max() <= 1  # where rounding falls to the other side


def test_the_prompt_is_told_to_the_network_and_to_the_fingerprint(model: Path) -> None:
    none, van, bus, again = (
        open_denoiser(str(model), CPU, prompt=prompt) for prompt in ("", "a van", "a bus", "a van")
    )
    x = torch.randn(1, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(van.predict(x, 5), bus.predict(x, 5), atol=1e-6)
    assert not torch.allclose(van.predict(x, 5), none.predict(x, 5), atol=1e-6)
    assert van.fingerprint == again.fingerprint
    assert len({none.fingerprint, van.fingerprint, bus.fingerprint}) == 3
    with pytest.raises(UserError, match=r"prompt: is 17 tokens long, and .* reads 12"):
        open_denoiser(str(model), CPU, prompt="aaaaa bbbbb ccccc")


def test_the_fingerprint_is_of_all_parts(model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    fingerprints = {open_denoiser(str(model), CPU).fingerprint, open_denoiser(str(model), CPU, "bf16").fingerprint}
    for part, file in (
        ("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model"), ("text_encoder", "model")
    ):  # fmt: skip
        folder = Path(shutil.copytree(model, tmp_path / part))
        weights = folder / part / f"{file}.safetensors"
        tensors = load_file(weights)
        name = min(tensors)
        save_file(tensors | {name: tensors[name] + 0.01}, weights, {"format": "pt"})
        fingerprints.add(open_denoiser(str(folder), CPU).fingerprint)
    assert len(fingerprints) == 5


def test_a_folder_without_an_index_will_do(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / "model_index.json").unlink()
    assert open_denoiser(str(folder), CPU).fingerprint == open_denoiser(str(model), CPU).fingerprint


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet", {"in_channels": 9}, "takes 9 channels and gives 4, and its latents have 4"),
        ("unet", {"addition_embed_type": "text_time"}, "told more than a prompt"),
        ("unet", {"num_class_embeds": 1000}, "told more than a prompt"),
        ("unet", {"sample_size": None}, "sample_size is None"),
        ("unet", {"cross_attention_dim": 24}, "do not belong together"),
        ("scheduler", {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "has no betas"),
        ("scheduler", {"rescale_betas_zero_snr": True, "_class_name": "DDIMScheduler"}, "noise alone"),
    ],
)
def test_parts_that_do_not_fit(model: Path, tmp_path: Path, part: str, changes: dict[str, Any], message: str) -> None:
    name = _edited(model, tmp_path / "model", part, **changes)
    with pytest.raises(UserError, match=message) as caught:
        open_denoiser(name, CPU)
    assert str(caught.value).startswith("diffusion ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
def test_a_part_that_is_missing(model: Path, tmp_path: Path, part: str) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    shutil.rmtree(folder / part)
    with pytest.raises(UserError, match=rf"diffusion .*{part}") as caught:
        open_denoiser(str(folder), CPU)
    assert "\n" not in str(caught.value)


def test_transformers_is_asked_for_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without it as well."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else found(name))
    folder = save_pipeline(tmp_path / "model")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    with pytest.raises(UserError, match=r"needs transformers.*pip install transformers"):
        open_denoiser(str(folder), CPU)
