"""A run that is killed, again and again and anywhere, ends with the weights of a run that was not: bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config import TrainConfig
from dataset import load_splits
from siamclip.models import checkpoint
from tests.augmented_folders import augmented_folder, blend
from tests.training_runs import noisy_squares, settings, start, weights

pytestmark = pytest.mark.slow

EVERY_STEP = 1e-9  # minutes
MODES: dict[str, dict[str, Any]] = {
    "hard pairs": {"negatives": "hard", "hard_pool": 5},
    "identities and proxies": {
        "batching": "identities",
        "loss": "proxy-anchor",
        "random_crop": 0.2,
        "random_erasing": 0.5,
    },
    "mixed and augmented": {"mix": ("samplepairing", "gridmask"), "mix_probability": 0.8, "augmented_dir": ("made",)},
    "accumulated random weights": {"weights": "random", "accumulation_steps": 3},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = noisy_squares(tmp_path_factory.mktemp("killed") / "data")
    paths = load_splits(TrainConfig(data_dir=str(data))).train.paths
    augmented_folder(data.parent / "made", [blend(paths[0], path) for path in paths[1::4]], data)
    return data


def finish(config: Any) -> Path:
    """Run to the end, from wherever the run stands."""
    folder = Path(config.checkpoint_dir) / "run"
    process = start(replace(config, resume=(folder / "last" / checkpoint.METADATA).exists()))
    process.join()
    assert process.exitcode == 0
    return folder


def assert_equal_runs(found: Path, expected: Path) -> None:
    for name in ("best", "last", "epoch-002"):
        a, b = weights(found / name), weights(expected / name)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in b), name
    a, b = (checkpoint.read_metadata(folder / "last")["progress"] for folder in (found, expected))
    assert a == b
    a, b = (checkpoint.read_metadata(folder / "best") for folder in (found, expected))
    for key in ("wise_ft_alpha", "threshold", "calibration", "metrics", "epoch"):
        assert a[key] == b[key]


@pytest.mark.parametrize("mode", MODES)
def test_kills_change_nothing(mode: str, data: Path, tmp_path: Path) -> None:
    changes = MODES[mode]
    if "augmented_dir" in changes:
        changes = {**changes, "augmented_dir": tuple(str(data.parent / name) for name in changes["augmented_dir"])}
    expected = finish(settings(data, tmp_path / "undisturbed", save_every=2, **changes))
    config = settings(data, tmp_path / "killed", save_every=2, save_every_minutes=EVERY_STEP, **changes)
    last = Path(config.checkpoint_dir) / "run" / "last" / checkpoint.METADATA
    rng = random.Random(mode)
    kills = 0
    # Events lie around each step, validation, checkpoint and single file of one: see training_runs.
    for _ in range(3):
        process = start(replace(config, resume=last.exists()), kill_at=rng.randrange(4, 50))
        process.join()
        assert process.exitcode in (0, -9)
        kills += process.exitcode == -9
    assert kills
    assert_equal_runs(finish(config), expected)


def test_kills_by_the_clock(data: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"save_every": 2, "negatives": "hard", "early_stopping_patience": 0}
    expected = finish(settings(data, tmp_path / "undisturbed", **changes))
    config = settings(data, tmp_path / "killed", save_every_minutes=EVERY_STEP, **changes)
    last = Path(config.checkpoint_dir) / "run" / "last" / checkpoint.METADATA
    rng = random.Random(0)
    for _ in range(2):
        process = start(replace(config, resume=last.exists()))
        process.join(rng.uniform(1, 4))
        process.kill()
        process.join()
    assert_equal_runs(finish(config), expected)
