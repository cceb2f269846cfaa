"""Training from end to end, on collections that are learnt in seconds."""

from __future__ import annotations

import csv
import re
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

import train
from config import TrainConfig
from dataset import load_splits
from siamclip.data.pairs import fixed_pairs
from siamclip.embedding.embedder import Embedder
from siamclip.errors import UserError
from siamclip.models import checkpoint
from siamclip.models.encoder import SiameseEncoder, create
from siamclip.models.layers import layer_of
from siamclip.training.optimisation import ALPHAS
from tests.training_runs import noisy_squares, settings, start, weights

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"num_epochs": 1, "wise_ft": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noisy_squares(tmp_path_factory.mktemp("train") / "data")


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    config = settings(data, tmp_path_factory.mktemp("finished"), num_epochs=5, save_every=5, wise_ft=False)
    train.train(config)
    return config


def run_folder(config: TrainConfig) -> Path:
    return Path(config.checkpoint_dir) / "run"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def script(config: TrainConfig, *more: str) -> list[str]:
    names = ("data_dir", "checkpoint_dir", "log_dir", "run_name", "model", "image_size", "num_epochs", "batch_size")
    flags = [text for name in names for text in (f"--{name}", str(getattr(config, name)))]
    return [*flags, "--samples_per_class", "4", "--device", "cpu", *more]


# -- what a run leaves -------------------------------------------------------------------------------------------


def test_files_of_a_run(finished: TrainConfig) -> None:
    folder, logs = run_folder(finished), Path(finished.log_dir) / "run"
    assert {path.name for path in folder.iterdir()} == {"best", "last", "epoch-005"}
    assert {"history.csv", "training_curves.png", "config.yaml", "skipped.csv"} <= {p.name for p in logs.iterdir()}
    assert list(logs.glob("events.out.tfevents.*"))
    with Image.open(logs / "training_curves.png") as picture:
        assert picture.format == "PNG"


def test_metadata_of_the_best_checkpoint(finished: TrainConfig) -> None:
    metadata = checkpoint.read_metadata(run_folder(finished) / "best")
    assert metadata["encoder"]["architecture"] == "tf_efficientnet_lite0"
    assert metadata["encoder"]["activation"] == "relu6"
    assert metadata["encoder"]["preprocessing"]["size"] == 64
    assert metadata["config"]["margin"] == finished.margin
    splits = load_splits(finished)
    assert metadata["split"] == {name: getattr(splits, name).identities for name in ("train", "val", "test")}
    assert 0 < metadata["threshold"]["value"] < 2
    assert metadata["threshold"]["chosen_on"] == "validation"
    assert metadata["calibration"]
    history = rows(Path(finished.log_dir) / "run" / "history.csv")
    assert metadata["metrics"]["val_auc"] == float(history[metadata["epoch"]]["val_auc"])


def test_history_starts_before_training_and_the_loss_falls(finished: TrainConfig) -> None:
    history = rows(Path(finished.log_dir) / "run" / "history.csv")
    assert [float(row["epoch"]) for row in history] == [0, 1, 2, 3, 4, 5]
    assert history[0]["loss"] == ""
    losses = [float(row["loss"]) for row in history[1:]]
    assert losses[-1] < losses[0]


def test_a_cosine_schedule_after_a_warm_up(finished: TrainConfig) -> None:
    rates = [float(row["learning_rate"]) for row in rows(Path(finished.log_dir) / "run" / "history.csv")[1:]]
    assert rates[0] < finished.learning_rate
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < 0.1 * finished.learning_rate


# -- going on, or not ---------------------------------------------------------------------------------------------


def test_going_on_with_a_finished_run_changes_nothing(
    finished: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in run_folder(finished).rglob("*.*")}

    before = content()
    train.train(replace(finished, resume=True), ["--resume"])
    assert content() == before
    assert "its 5 epochs are done" in capsys.readouterr().out


def test_an_existing_name_is_refused(finished: TrainConfig) -> None:
    with pytest.raises(UserError, match=r"run_name run: exists in .*resume"):
        train.train(finished)


def test_other_flags_are_refused_on_resume(finished: TrainConfig) -> None:
    with pytest.raises(UserError, match="margin: cannot change on resume"):
        train.train(replace(finished, resume=True), ["--resume", "--margin", "1.0"])


def test_nothing_to_go_on_with(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resume: .*saved nothing yet"):
        train.train(settings(data, tmp_path, resume=True), ["--resume"])


@pytest.mark.parametrize("change", ["added", "removed", "other bytes"])
def test_other_photos_are_refused_on_resume(change: str, tmp_path: Path) -> None:
    data = noisy_squares(tmp_path / "data", identities=8, photos=3)
    config = settings(data, tmp_path, **SMALL)
    train.train(config)
    photo = load_splits(config).train.files[0]
    if change == "added":
        photo.with_name("new.png").write_bytes(photo.read_bytes())
    elif change == "removed":
        photo.unlink()
    else:
        Image.effect_noise((64, 64), 60).save(photo)
    with pytest.raises(UserError, match="photos were added, removed, moved or changed"):
        train.train(replace(config, resume=True), ["--resume"])


# -- photos that cannot be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batching", ["pairs", "identities"])
def test_damaged_photos_are_listed_and_do_not_end_the_run(batching: str, tmp_path: Path) -> None:
    data = noisy_squares(tmp_path / "data", identities=14)
    config = settings(data, tmp_path, batching=batching, val_ratio=0.3, samples_per_class=12, **SMALL)
    splits = load_splits(config)
    whole_class = [side.files[i] for side in (splits.train, splits.val) for i in np.flatnonzero(side.labels == 1)]
    damaged = [splits.train.files[0], splits.val.files[0], *whole_class]
    for photo in damaged:
        photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])
    train.train(config)
    listed = {row["path"] for row in rows(Path(config.log_dir) / "run" / "skipped.csv")}
    assert listed == {photo.relative_to(data).as_posix() for photo in damaged}
    lost = splits.val.identities[1]
    assert lost not in checkpoint.read_metadata(run_folder(config) / "best")["split"]["val"]
    train.train(replace(config, resume=True), ["--resume"])  # these photos are those of the run, damage and all


# -- what can go wrong --------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_explained(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path, learning_rate=1e30, warmup_epochs=0.0, clip_norm=0.0)
    with pytest.raises(UserError, match=r"learning_rate 1e\+30: .* in epoch 1; lower it"):
        train.train(config)
    assert checkpoint.read_metadata(run_folder(config) / "last")["epoch"] == 0


def test_a_margin_that_cannot_be_met_is_refused_at_once() -> None:
    command = [sys.executable, "train.py", "--margin", "2.5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --margin 2.5: must be in (0, 2]")


@pytest.mark.slow
def test_a_full_disk_leaves_the_previous_checkpoint(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path, num_epochs=2)
    process = start(config, kill_at=30)
    process.join()
    last = run_folder(config) / "last"
    before = checkpoint.read_metadata(last)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:  # the weights fit, the optimiser's state does not
        resource.setrlimit(resource.RLIMIT_FSIZE, (20 * 2**20, limits[1]))
        with pytest.raises(UserError, match=r"last: the checkpoint cannot be saved \(File too large\).*resume"):
            train.train(replace(config, resume=True), ["--resume"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.read_metadata(last) == before
    train.train(replace(config, resume=True), ["--resume"])
    assert checkpoint.read_metadata(last)["progress"]["epoch"] == 2


def test_collapse_is_said_while_it_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(24):
        folder = tmp_path / "data" / str(i // 3)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / f"{i}.png")
    train.train(settings(tmp_path / "data", tmp_path, jitter=False, **SMALL))
    assert "The embedding space is collapsing: the mean cosine" in capsys.readouterr().out


def test_early_stopping(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path, num_epochs=9, early_stopping_patience=2, min_delta=1.0, wise_ft=False)
    train.train(config)
    assert len(checkpoint.read_metadata(run_folder(config) / "last")["progress"]["history"]) == 3
    assert checkpoint.read_metadata(run_folder(config) / "best")["epoch"] == 0


# -- what is learnt -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_wise_ft_keeps_the_blend_that_validates_best(finished: TrainConfig, tmp_path: Path) -> None:
    config = replace(finished, checkpoint_dir=str(tmp_path / "c"), log_dir=str(tmp_path / "l"), wise_ft=True)
    train.train(config)
    metadata = checkpoint.read_metadata(run_folder(config) / "best")
    before = create("efficientnet-lite0", image_size=64).tower.state_dict()
    after, kept = weights(run_folder(finished) / "best"), weights(run_folder(config) / "best")
    val = load_splits(config).val
    pairs = fixed_pairs(val.labels, config.val_pairs_per_class, config.positive_ratio, config.seed)
    aucs = {}
    for alpha in ALPHAS:
        encoder = create("efficientnet-lite0", image_size=64)
        blend = {
            k: (1 - alpha) * before[k] + alpha * after[k] if after[k].is_floating_point() else after[k] for k in after
        }
        encoder.tower.load_state_dict(blend)
        vectors, _ = Embedder(encoder, device="cpu").embed_files(val.files)
        aucs[alpha] = roc_auc_score(pairs.same, (vectors[pairs.first] * vectors[pairs.second]).sum(axis=1))
        if alpha == metadata["wise_ft_alpha"]:
            for key, tensor in blend.items():
                torch.testing.assert_close(kept[key], tensor)
    assert metadata["metrics"]["val_auc"] == pytest.approx(max(aucs.values()), abs=1e-6)
    assert aucs[metadata["wise_ft_alpha"]] == pytest.approx(max(aucs.values()), abs=1e-6)


def test_frozen_layers_stay_as_they_are(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path, freeze_patch_embedding=True, freeze_blocks=4, **SMALL)
    train.train(config)
    encoder = create("efficientnet-lite0", image_size=64)
    before, after, layers = encoder.tower.state_dict(), weights(run_folder(config) / "last"), layer_of(encoder.tower)
    moved = {name for name in layers if not torch.equal(before[name], after[name])}
    assert moved == {name for name, layer in layers.items() if layer > 4}
    statistics = [name for name in before if re.match(r"(bn1|blocks\.[0-3])\..*running_", name)]
    assert statistics
    assert all(torch.equal(before[name], after[name]) for name in statistics)


def test_accumulated_half_batches_equal_whole_ones(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Batch norm looks at the batch: in evaluation mode it does not, and what is left must agree.
    monkeypatch.setattr(SiameseEncoder, "train", lambda self, mode=True: nn.Module.train(self, False))
    found = []
    for name, batch_size, steps in (("whole", 16, 1), ("halves", 8, 2)):
        # 24 pairs: a whole batch and a half one, or two halves and one that is a step of its own.
        changes: dict[str, Any] = {"flip": False, "jitter": False, "optimizer": "sgd", "samples_per_class": 3, **SMALL}
        config = settings(data, tmp_path / name, batch_size=batch_size, accumulation_steps=steps, **changes)
        train.train(config)
        found.append(weights(run_folder(config) / "last"))
        assert checkpoint.read_metadata(run_folder(config) / "last")["progress"]["step"] == 2
    start_weights = create("efficientnet-lite0", image_size=64).tower.state_dict()
    moved = max((found[0][key] - start_weights[key]).abs().max().item() for key in found[0])
    apart = max((found[0][key] - found[1][key]).abs().max().item() for key in found[0])
    assert moved > 1e-4
    assert apart < 1e-3 * moved


# -- as a program -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path, num_epochs=500)
    command = [sys.executable, "-u", "train.py", *script(config, "--early_stopping_patience", "0")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith("epoch 1/"):
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert f"go on with: python train.py --resume --run_name run --checkpoint_dir {config.checkpoint_dir}" in rest
    assert errors.endswith("interrupted\n")
    assert "Traceback" not in errors


@pytest.mark.slow
def test_two_processes(data: Path, tmp_path: Path) -> None:
    config = settings(data, tmp_path)
    # `accelerate launch --cpu` starts one process; this is what it starts itself where there are several GPUs.
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    command = [*launch, "train.py", *script(config, "--learning_rate", "1e-3")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 2/2") == 1
    assert checkpoint.read_metadata(run_folder(config) / "last")["progress"]["step"] == 4  # of 4 + 4 batches
    pretrained = create("efficientnet-lite0", image_size=64).tower.state_dict()
    assert not torch.equal(weights(run_folder(config) / "last")["conv_head.weight"], pretrained["conv_head.weight"])
