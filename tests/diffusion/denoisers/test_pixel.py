"""Diffusion models of pixels: what they compute, how they are found, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects
from hypothesis import given
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file, save_file

from siamclip.diffusion.ddpm_inversion import generate, invert
from siamclip.diffusion.denoisers import factory, hub
from siamclip.diffusion.denoisers.factory import open_denoiser
from siamclip.diffusion.denoisers.pixel import PixelDenoiser, from_unit_range, to_unit_range
from siamclip.diffusion.noise_schedule import noise_schedule_of
from siamclip.errors import UserError
from tests.augmentation.fusion.tiny_models import save_pipeline, tiny_unet

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(tmp_path_factory.mktemp("models") / "tiny")


def _edit(path: Path, **changes: Any) -> None:
    """None removes an entry."""
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))


def _edited(
    model: Path, folder: Path, unet: dict[str, Any] | None = None, scheduler: dict[str, Any] | None = None
) -> str:
    shutil.copytree(model, folder)
    _edit(folder / "unet" / "config.json", **unet or {})
    _edit(folder / "scheduler" / "scheduler_config.json", **scheduler or {})
    return str(folder)


# -- what it computes ------------------------------------------------------------------------------------------


def test_it_is_the_network_and_the_schedule_of_the_pipeline(model: Path) -> None:
    opened = open_denoiser(str(model), CPU)
    assert (opened.name, opened.shape, opened.image_side) == (str(model), (3, 16, 16), 16)
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = tiny_unet()(x, 321).sample
    torch.testing.assert_close(opened.predict(x, 321), expected, rtol=1e-5, atol=1e-5)
    assert opened.predict(x.double(), 321).dtype == torch.float64
    schedule = opened.schedule(1000, 1.0)
    assert (schedule.prediction, schedule.clip) == ("epsilon", 1.0)
    np.testing.assert_allclose(schedule.alpha_bar[1:], DDPMScheduler().alphas_cumprod.numpy(), rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "prediction", "clip"),
    [
        ({"prediction_type": "v_prediction", "clip_sample": False}, "v_prediction", None),
        ({"prediction_type": "sample", "clip_sample_range": 2.5}, "sample", 2.5),
        ({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 100}, "epsilon", 1.0),
        ({"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, "v_prediction", 1.0),
        ({"_class_name": "DDIMScheduler"}, "epsilon", 1.0),
        ({"_class_name": "PNDMScheduler", "clip_sample": None}, "epsilon", None),
        ({"_class_name": "EulerDiscreteScheduler", "clip_sample": None}, "epsilon", None),
    ],
)
def test_the_noise_is_what_the_scheduler_s_settings_say(
    model: Path, tmp_path: Path, settings: dict[str, Any], prediction: str, clip: float | None
) -> None:
    opened = open_denoiser(_edited(model, tmp_path / "model", scheduler=settings), CPU)
    trained = settings.get("num_train_timesteps", 1000)
    schedule = opened.schedule(trained, 1.0)
    assert (schedule.prediction, schedule.clip) == (prediction, clip)
    known = {
        key: settings[key]
        for key in ("beta_schedule", "num_train_timesteps", "rescale_betas_zero_snr")
        if key in settings
    }
    expected = DDPMScheduler(**known).alphas_cumprod.numpy()
    np.testing.assert_allclose(schedule.alpha_bar[1:], expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize("zero_snr", [False, True])
def test_photos_come_back_from_their_maps(model: Path, tmp_path: Path, steps: int, zero_snr: bool) -> None:
    settings = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True} if zero_snr else {}
    opened = open_denoiser(_edited(model, tmp_path / "model", scheduler=settings), CPU)
    photos = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    schedule = opened.schedule(steps, 1.0)
    stack = invert(opened.predict, opened.encode(photos), schedule, 0, [1, 2, 3])
    assert np.array_equal(opened.decode(generate(opened.predict, stack, schedule)), photos)


@given(arrays(np.uint8, (2, 5, 5, 3)))
def test_pixels_survive_their_range(photos: np.ndarray) -> None:
    images = to_unit_range(photos, CPU)
    assert images.dtype == torch.float32 and images.shape == (2, 3, 5, 5)
    assert images.min() >= -1 and images.max() <= 1
    assert np.array_equal(from_unit_range(images), photos)


def test_every_level_survives_and_what_is_outside_is_clipped() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    images = to_unit_range(levels, CPU)
    assert (images[0, 0, 0, 0], images[0, 0, 15, 15]) == (-1, 1)
    assert np.array_equal(from_unit_range(images), levels)
    outside = from_unit_range(torch.tensor([-3.0, 3.0]).view(1, 1, 1, 2).expand(1, 3, 1, 2))
    assert outside.tolist() == [[[[0, 0, 0], [255, 255, 255]]]]


def test_weights_in_half_precision_are_computed_in_fp32(tmp_path: Path) -> None:
    opened = open_denoiser(str(save_pipeline(tmp_path / "half", half=True)), CPU)
    unet = tiny_unet()
    for parameter in unet.parameters():
        parameter.data = parameter.data.half().float()
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(opened.predict(x, 7), unet(x, 7).sample, rtol=1e-5, atol=1e-5)


def test_bf16_computes_less_exactly_and_gives_fp32(model: Path) -> None:
    exact, rough = (open_denoiser(str(model), CPU, precision) for precision in ("fp32", "bf16"))
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    difference = (exact.predict(x, 500) - rough.predict(x, 500)).abs().max()
    assert 1e-5 < difference < 0.05
    assert rough.predict(x, 500).dtype == torch.float32
    with pytest.raises(UserError, match="denoiser_precision fp16"):
        open_denoiser(str(model), CPU, "fp16")


def test_the_fingerprint_is_that_of_what_is_computed(model: Path, tmp_path: Path) -> None:
    fingerprint = open_denoiser(str(model), CPU).fingerprint
    assert open_denoiser(str(shutil.copytree(model, tmp_path / "elsewhere")), CPU).fingerprint == fingerprint
    (tmp_path / "elsewhere" / "siamclip-ddpm.json").write_text("{}")
    assert open_denoiser(str(tmp_path / "elsewhere"), CPU).fingerprint == fingerprint
    others = {
        open_denoiser(str(model), CPU, "bf16").fingerprint,
        open_denoiser(_edited(model, tmp_path / "clip", scheduler={"clip_sample": False}), CPU).fingerprint,
        open_denoiser(_edited(model, tmp_path / "v", scheduler={"prediction_type": "sample"}), CPU).fingerprint,
        open_denoiser(_edited(model, tmp_path / "betas", scheduler={"beta_end": 0.019}), CPU).fingerprint,
        open_denoiser(_edited(model, tmp_path / "act", unet={"act_fn": "relu"}), CPU).fingerprint,
        open_denoiser(str(save_pipeline(tmp_path / "seed", tiny_unet(1))), CPU).fingerprint,
    }
    assert len(others) == 6 and fingerprint not in others


# -- how it is found -------------------------------------------------------------------------------------------


def test_a_model_is_found_in_each_form_of_folder(model: Path, tmp_path: Path) -> None:
    fingerprint = open_denoiser(str(model), CPU).fingerprint
    without_index = Path(shutil.copytree(model, tmp_path / "without_index"))
    (without_index / "model_index.json").unlink()
    flat = Path(shutil.copytree(model / "unet", tmp_path / "flat"))
    shutil.copy(model / "scheduler" / "scheduler_config.json", flat)
    shutil.copy(model / "model_index.json", flat)  # as Google's repositories have it
    for form in (without_index, without_index / "unet", flat):
        assert open_denoiser(str(form), CPU).fingerprint == fingerprint


def test_a_shipped_name_is_its_folder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(factory.SHIPPED, "ours", model)
    assert open_denoiser("ours", CPU).name == "ours"
    monkeypatch.setitem(factory.SHIPPED, "ours", tmp_path / "gone")
    with pytest.raises(UserError, match=r"diffusion ours: .*gone is missing"):
        open_denoiser("ours", CPU)


def test_a_name_of_the_hub_comes_from_its_cache(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "models--someone--ddpm"
    snapshot = Path(shutil.copytree(model, repository / "snapshots" / ("a" * 40)))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    opened = open_denoiser("someone/ddpm", CPU)
    assert (opened.name, opened.fingerprint) == ("someone/ddpm", open_denoiser(str(model), CPU).fingerprint)
    (snapshot / "unet" / "diffusion_pytorch_model.safetensors").unlink()  # fetched in part
    monkeypatch.setattr(hub, "no_answer", lambda url: "no route to host")
    with pytest.raises(UserError, match=r"diffusion someone/ddpm: .*the hub cannot be asked"):
        open_denoiser("someone/ddpm", CPU)


@pytest.mark.parametrize("form", ["safetensors", "bin", "none", "error"])
def test_a_name_of_the_hub_is_fetched(form: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a hub that has the weights in one format, and more files than are needed."""
    remote, local = Path(shutil.copytree(model, tmp_path / "remote")), tmp_path / "local"
    weights = remote / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_suffix(".fp16.safetensors"))
    if form == "bin":
        torch.save(load_file(weights), weights.with_suffix(".bin"))
    if form in ("bin", "none"):
        weights.unlink()

    def snapshot_download(name: str, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("nothing in the cache")
        if form == "error":
            raise OSError("404 Client Error.\n\nRepository Not Found")
        wanted = filter_repo_objects(
            [path.relative_to(remote).as_posix() for path in remote.rglob("*") if path.is_file()],
            allow_patterns=allow_patterns,
        )
        for path in wanted:
            (local / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(remote / path, local / path)
        return str(local)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "no_answer", lambda url: "")
    if form in ("safetensors", "bin"):
        opened = open_denoiser("someone/ddpm", CPU)
        assert opened.fingerprint == open_denoiser(str(model), CPU).fingerprint
        assert not list(local.rglob("*fp16*"))
    else:
        message = "holds no weights" if form == "none" else r"not to be had from the hub \(404.*Not Found\)"
        _require_refusal("someone/ddpm", message)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vehicle64", r"diffusion vehicle64: no such model.*did you mean vehicles64\?"),
        ("x/y/z", r"diffusion x/y/z: no such model, and no such folder"),
        ("nobody/nothing", r"diffusion nobody/nothing: no such folder, and the hub cannot be asked"),
        ("a--b/c", r"diffusion a--b/c: no such folder, nor a name that the hub could have"),
    ],
)
def test_a_name_that_is_nowhere(name: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "no_answer", lambda url: "no route to host")
    with pytest.raises(UserError, match=message) as caught:
        open_denoiser(name, CPU)
    assert "\n" not in str(caught.value)


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 1, "out_channels": 1}, "takes 1 channels and gives 1"),
        ({"in_channels": 6}, "takes 6 channels and gives 3"),
        ({"out_channels": 6}, r"gives 6 channels, the variance too \(learned\)"),
        ({"sample_size": None}, "sample_size is None, not the side of a square"),
        ({"sample_size": [16, 32]}, r"sample_size is \[16, 32\], not the side of a square"),
        ({"sample_size": 17}, "sample_size 17 cannot be halved 1 times"),
        ({"num_class_embeds": 10}, "told a class"),
        ({"class_embed_type": "timestep"}, "told a class"),
        ({"_class_name": "UNet1DModel"}, "config.json is of UNet1DModel"),
    ],
)
def test_a_network_that_does_not_fit(model: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    _require_refusal(_edited(model, tmp_path / "model", unet=changes), message)


def test_a_square_may_be_written_as_two_sides(model: Path, tmp_path: Path) -> None:
    assert open_denoiser(_edited(model, tmp_path / "model", unet={"sample_size": [16, 16]}), CPU).image_side == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, "FlowMatchEulerDiscreteScheduler has no betas"),
        ({"_class_name": "ScoreSdeVeScheduler"}, "ScoreSdeVeScheduler has no betas"),
        ({"_class_name": "CogVideoXDDIMScheduler"}, "shifts the betas' noise"),
        ({"_class_name": "NoSuchScheduler"}, "scheduler NoSuchScheduler is none of diffusers"),
        ({"_class_name": "UNet2DModel"}, "scheduler UNet2DModel is none of diffusers"),
        ({"prediction_type": "flow_prediction"}, "predicts 'flow_prediction'"),
        ({"rescale_betas_zero_snr": True}, "its last step is noise alone"),
        ({"beta_start": 0.0}, "steps that add no noise"),
        ({"thresholding": True}, "thresholding"),
        ({"beta_schedule": "steep"}, "DDPMScheduler cannot be built"),
    ],
)
def test_a_scheduler_that_does_not_fit(model: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    _require_refusal(_edited(model, tmp_path / "model", scheduler=changes), message)


@pytest.mark.parametrize(
    "pipeline", ["StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline", "LDMPipeline"]
)
def test_a_pipeline_of_another_kind(model: Path, tmp_path: Path, pipeline: str) -> None:
    folder = Path(_edited(model, tmp_path / "model"))
    _edit(folder / "model_index.json", _class_name=pipeline)
    _require_refusal(str(folder), f"is a {pipeline}")


def test_a_folder_that_is_no_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _require_refusal(str(tmp_path / "empty"), "is no diffusion model; a folder holds a DDPMPipeline")
    (tmp_path / "file").write_text("")
    _require_refusal(str(tmp_path / "file"), "is a file")
    alone = shutil.copytree(model / "unet", tmp_path / "alone")
    _require_refusal(str(alone), "no scheduler_config.json")


@pytest.mark.parametrize("file", ["unet/config.json", "scheduler/scheduler_config.json", "model_index.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_configuration(model: Path, tmp_path: Path, file: str, content: bytes) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (folder / file).write_bytes(content)
    _require_refusal(str(folder), f"{Path(file).name} (cannot be read|is not a configuration)")


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "missing"])
def test_damaged_weights(model: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    weights_file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "cut":
        weights_file.write_bytes(weights_file.read_bytes()[:-100])
    elif damage == "gone":
        weights_file.unlink()
    elif damage == "missing":
        tensors = load_file(weights_file)
        del tensors["conv_in.weight"]
        save_file(tensors, weights_file)
    else:
        _edit(folder / "unet" / "config.json", block_out_channels=[8, 24])
    _require_refusal(str(folder), "cannot be loaded")


def _require_refusal(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_denoiser(name, CPU)
    assert str(caught.value).startswith("diffusion ") and "\n" not in str(caught.value)


def test_prompt_and_steps_that_do_not_fit(model: Path) -> None:
    with pytest.raises(UserError, match=r"prompt: .* is a model of pixels"):
        open_denoiser(str(model), CPU, prompt="a red car")
    with pytest.raises(UserError, match=r"steps 1001: .* was trained with 1000 steps; give at most 1000"):
        open_denoiser(str(model), CPU).schedule(1001, 1.0)


def test_the_constructor_checks_too() -> None:
    noise = noise_schedule_of({"_class_name": "DDPMScheduler"}, "x")
    with pytest.raises(UserError, match="takes 4 channels"):
        PixelDenoiser(UNet2DModel(**tiny_unet().config | {"in_channels": 4}), noise, "x", CPU)
