"""`augment.py train-ddpm` on a network that is learnt in seconds: what it makes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from config_augment import AugmentTrainDdpmConfig
from siamclip.cli.yaml_settings import read_yaml
from siamclip.diffusion.training.architecture import make_scheduler
from tests.diffusion.training.tiny_ddpm import SIZE, assert_same_model, run, stored, tiny_unet

pytestmark = pytest.mark.usefixtures("tiny_preset")


def scalars(out: Path, name: str) -> list[float]:
    board = EventAccumulator(str(out / "logs")).Reload()
    return [event.value for event in board.Scalars(name)]


def test_it_learns(photos: Path, tmp_path: Path) -> None:
    """Photos of one colour: a network that has learnt anything tells most of the noise."""
    flags = ("--num_steps", "60", "--batch_size", "16", "--learning_rate", "1e-2", "--ema_decay", "0.9")
    run(photos, tmp_path / "out", *flags, "--warmup_steps", "10", "--sample_every", "0")
    losses = scalars(tmp_path / "out", "loss")
    assert len(losses) == 6
    assert losses[0] > 0.7
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
    unet = DDPMPipeline.from_pretrained(tmp_path / "out").unet
    torch.manual_seed(0)
    x_0, noise = torch.rand(64, 3, 1, 1).expand(-1, -1, SIZE, SIZE) * 2 - 1, torch.randn(64, 3, SIZE, SIZE)
    timesteps = torch.full((64,), 500)
    with torch.no_grad():
        found = unet(make_scheduler(1000, "linear").add_noise(x_0, noise, timesteps), timesteps).sample
    assert ((found - noise) ** 2).mean() < 0.5  # the averaged weights, as they were stored


def test_what_is_written(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    out = tmp_path / "模型" / "out"
    run(photos, out, "--sample_every", "4", "--half", "--geometry", "pad", "--num_steps", "10")
    assert {path.name for path in out.iterdir()} == {
        "logs",
        "model_index.json",
        "samples",
        "scheduler",
        "settings.yaml",
        "siamclip-ddpm.json",
        "training",
        "unet",
    }
    assert {path.name for path in (out / "samples").iterdir()} == {f"step-{n:06}.png" for n in (4, 8, 10)}
    assert Image.open(out / "samples" / "step-000004.png").size == (4 * (SIZE + 2) + 2,) * 2
    assert {tensor.dtype for tensor in stored(out).values()} == {torch.float16}
    board = EventAccumulator(str(out / "logs")).Reload()
    assert set(board.Tags()["scalars"]) == {"loss", "learning_rate"}
    assert [event.step for event in board.Images("samples")] == [4, 8, 10]
    read_back = AugmentTrainDdpmConfig(**read_yaml(out / "settings.yaml", AugmentTrainDdpmConfig))
    assert (read_back.num_steps, read_back.half, read_back.geometry) == (10, True, "pad")
    known = json.loads((out / "siamclip-ddpm.json").read_bytes())
    assert (known["photos"], known["steps"], known["photos_seen"]) == (12, 10, 40)
    assert (known["preprocessing"]["geometry"], known["preprocessing"]["size"]) == ("pad", SIZE)
    assert str(tmp_path) not in json.dumps(known)  # a model is given away; where the photos lie is not
    assert "12 photos" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_learning_rate_rises_and_falls(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out", "--num_steps", "40", "--batch_size", "1", "--warmup_steps", "20")
    rates = scalars(tmp_path / "out", "learning_rate")
    assert rates[:2] == pytest.approx([2e-4 * step / 21 for step in (10, 20)])
    assert rates[2:] == pytest.approx([2e-4 * (1 + np.cos(np.pi * (step - 21) / 20)) / 2 for step in (30, 40)])


def test_a_seed_gives_a_model_whatever_reads_the_photos(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "a", "--num_workers", "1", "--cache_gb", "0")
    run(photos, tmp_path / "b", "--num_workers", "3")
    run(photos, tmp_path / "c", "--seed", "7")
    assert_same_model(tmp_path / "a", tmp_path / "b")
    assert any(not torch.equal(a, b) for a, b in zip(*(stored(tmp_path / x).values() for x in "ac"), strict=True))


def test_it_begins_with_a_model(photos: Path, tmp_path: Path) -> None:
    DDPMPipeline(tiny_unet(3), make_scheduler(300, "linear")).save_pretrained(tmp_path / "first")
    flags = ("--init_from", str(tmp_path / "first"), "--learning_rate", "1e-12")
    run(photos, tmp_path / "out", *flags)
    for found, expected in zip(stored(tmp_path / "out").values(), stored(tmp_path / "first").values(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)
    assert len(DDPMPipeline.from_pretrained(tmp_path / "out").scheduler.betas) == 300


def test_a_compiled_network_is_stored_as_any_other(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for inductor, but not handed to a C++ compiler, which would take a minute."""
    flags = ("--precision", "fp32", "--num_steps", "3")
    run(photos, tmp_path / "plain", *flags)
    traced: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    run(photos, tmp_path / "compiled", *flags, "--compile")
    assert sum(node.op == "call_function" for graph in traced for node in graph.graph.nodes) > 100
    assert_same_model(tmp_path / "compiled", tmp_path / "plain")
