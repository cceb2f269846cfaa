"""What augment.py fuse refuses: exit code 2, one line, and nothing of the user's touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.augmentation.fusion.tiny_models import save_pipeline, tiny_unet
from tests.fusion_scenes import Scene, flags, hashed, make_scene, run

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "threshold outside": ({"similarity_threshold": 1.5}, r"--similarity_threshold 1.5: must be in \[-1, 1\]"),
    "threshold is no number": ({"similarity_threshold": "nan"}, r"--similarity_threshold nan: must be in"),
    "threshold above the ceiling": ({"similarity_threshold": 0.9, "similarity_ceiling": 0.8}, "must lie below"),
    "threshold at the ceiling": ({"similarity_threshold": 0.8, "similarity_ceiling": 0.8}, "must lie below"),
    "unknown mode": ({"fusion_modes": "lineer,cross_fade"}, "--fusion_modes lineer: no such mode; did you mean linear"),
    "no mode": ({"fusion_modes": ","}, "names no mode"),
    "unknown setting": ({"set": "layer_selective.structure=1"}, "has no setting 'structure'"),
    "setting of another mode": ({"set": "layer_selective.texture_weight=1", "fusion_modes": "linear"}, "not among"),
    "setting outside": ({"set": "layer_selective.texture_weight=2"}, r"texture_weight=2.*\[0, 1\]"),
    "no pair": ({"similarity_threshold": 0.998}, r"no pair .* --similarity_threshold 0\.\d+ would give"),
    "nothing skipped is left": ({"steps": 4, "skip": 4}, "--skip 4: must be below --steps 4"),
    "too many steps": ({"steps": 2000}, "2000"),
    "no noise": ({"eta": 0}, "--eta 0.0: must be in"),
    "no such input": ({"input_dir": "nowhere"}, "--input_dir nowhere: no such folder"),
    "no such model": ({"diffusion": "vehicle64"}, "--diffusion vehicle64: no such model.*did you mean vehicles64"),
    "no checkpoint": ({"embedder": "newest", "checkpoint_dir": "nowhere"}, "is no checkpoint.*--embedder resnet50"),
    "unknown embedder": ({"embedder": "resnet51"}, "resnet50"),
    "a prompt for pixels": ({"prompt": "a car"}, "--prompt"),
    "no such device": ({"device": "cuda:7"}, "--device cuda:7"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_touches_nothing(
    scene: Scene, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, expected = BAD[case]
    monkeypatch.chdir(tmp_path)
    before = hashed(scene.photos)
    assert run(flags(scene, tmp_path / "out", **changes)) == 2
    error = capsys.readouterr().err
    assert re.search(expected, error), error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert hashed(scene.photos) == before
    assert not (tmp_path / "out").exists() and not (tmp_path / "temp.yaml").exists()


def test_the_threshold_that_is_proposed_gives_pairs(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags(scene, tmp_path / "out", similarity_threshold=0.998)) == 2
    proposed = re.search(r"--similarity_threshold (0\.\d+) would give", capsys.readouterr().err)
    assert proposed
    assert run(flags(scene, tmp_path / "out", similarity_threshold=proposed[1], gate_similarity=-1)) == 0


@pytest.mark.parametrize("place", ["", "京A12345", "new", ".."])
def test_output_in_around_or_instead_of_the_input(
    scene: Scene, place: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    before = hashed(scene.photos.parent)
    argv = flags(scene, tmp_path / "out", output_dir=scene.photos / place)
    assert run(argv) == 2
    assert "--output_dir" in capsys.readouterr().err
    assert hashed(scene.photos.parent) == before


def test_output_of_others_and_of_other_settings(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert run(flags(scene, tmp_path / "mine")) == 2
    assert "is not empty" in capsys.readouterr().err
    fused = tmp_path / "fused"
    assert run(flags(scene, fused, max_pairs=1, ratio=0.25)) == 0
    before = hashed(fused)
    capsys.readouterr()
    assert run(flags(scene, fused, max_pairs=1)) == 2
    assert "ratio was 0.25" in capsys.readouterr().err
    assert hashed(fused) == before


def test_a_file_of_the_users_is_not_replaced_by_the_settings(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("steps: 9\n")
    assert run(flags(scene, tmp_path / "out", temp_yaml=mine)) == 2
    assert "is not a file that augment.py wrote" in capsys.readouterr().err
    assert mine.read_text() == "steps: 9\n" and not (tmp_path / "out").exists()


def _greyscale(folder: Path) -> Path:
    return save_pipeline(folder, tiny_unet(in_channels=1, out_channels=1))


def _learned_variance(folder: Path) -> Path:
    return save_pipeline(folder, tiny_unet(out_channels=6))


def _other_scheduler(folder: Path) -> Path:
    save_pipeline(folder)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "flow"}))
    return folder


def _no_square(folder: Path) -> Path:
    return save_pipeline(folder, tiny_unet(sample_size=(16, 32)))


def _not_finite(folder: Path) -> Path:
    unet = tiny_unet()
    with torch.no_grad():
        unet.conv_out.bias.fill_(torch.nan)
    return save_pipeline(folder, unet)


def _weights_cut(folder: Path) -> Path:
    (weights,) = (save_pipeline(folder) / "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    return folder


@pytest.mark.parametrize(
    "model", [_greyscale, _learned_variance, _other_scheduler, _no_square, _not_finite, _weights_cut]
)
def test_models_that_do_not_fit(
    scene: Scene, tmp_path: Path, model: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = hashed(scene.photos)
    folder = model(tmp_path / "model")
    capsys.readouterr()  # the pipeline's own words
    assert run(flags(scene, tmp_path / "out", diffusion=folder)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: --diffusion {folder}: ")
    if model is _not_finite:
        assert "not finite" in error and "--denoiser_precision" in error
    assert hashed(scene.photos) == before
