"""Training with made images and with mixing: what takes part, what it is worth, and what is refused."""

from __future__ import annotations

import math
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import train
from config import TrainConfig
from dataset import load_augmented, load_splits
from siamclip.augmentation.method_table import MIXERS
from siamclip.data.collection import Collection
from siamclip.data.pairs import Pairs
from siamclip.errors import UserError
from siamclip.models import checkpoint
from siamclip.training.images.augmented_images import HELD_OUT
from siamclip.training.images.mixing import make_mixing
from siamclip.training.losses import ContrastiveLoss, LossValue
from tests.augmented_folders import augmented_folder, blend
from tests.training_runs import noisy_squares, settings

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {"num_epochs": 1, "wise_ft": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noisy_squares(tmp_path_factory.mktemp("augmented") / "data")


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of one identity, two of two, and one that is made of a test photo."""
    splits = load_splits(TrainConfig(data_dir=str(data)))
    paths, last = splits.train.paths, splits.train.paths[-1]
    rows = [
        blend(paths[0], paths[1]),
        blend(paths[0], last),
        blend(paths[2], last, 0.3),
        blend(paths[0], splits.test.paths[0]),
    ]
    return augmented_folder(tmp_path_factory.mktemp("made") / "out", rows, data)


def last_epoch(config: TrainConfig) -> dict[str, Any]:
    return checkpoint.read_metadata(Path(config.checkpoint_dir) / "run" / "last")["progress"]["history"][-1]


# -- made images ----------------------------------------------------------------------------------------------------


def test_a_run_with_made_images(data: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = settings(data, tmp_path, augmented_dir=(str(out),), **SMALL)
    train.train(config)
    said = " ".join(capsys.readouterr().out.split())
    assert f"3 augmented images, 2 of them of several identities; left out: 1 {HELD_OUT}" in said
    assert math.isfinite(last_epoch(config)["loss"])
    train.train(replace(config, resume=True), ["--resume"])  # as JSON has lists for tuples
    rows = [blend(path, path) for path in load_splits(config).train.paths[:3]]
    augmented_folder(out.parent / "changed", rows, data)
    changed = out.rename(out.parent / "aside")
    try:
        (out.parent / "changed").rename(out)
        with pytest.raises(UserError, match="photos were added, removed, moved or changed"):
            train.train(replace(config, resume=True), ["--resume"])
        out.rename(out.parent / "changed")
    finally:
        changed.rename(out)


@pytest.mark.parametrize("batching", ["pairs", "identities"])
def test_made_images_take_part_with_their_soft_labels(batching: str, data: Path, out: Path, tmp_path: Path) -> None:
    training = train.Training(settings(data, tmp_path, augmented_dir=(str(out),), batching=batching, **SMALL))
    photos = len(training.splits.train)
    assert len(training.photos) == photos + 3
    seen: set[int] = set()
    for epoch in range(12):
        training.state.progress.epoch = epoch
        seen |= {int(photo) for batch in training._batches() for photo in batch.photos}
    assert seen == set(range(photos + 3))
    worth: list[np.ndarray] = []

    class Spy(ContrastiveLoss):
        def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, pairs: Pairs) -> LossValue:
            worth.append(pairs.same)
            return super().forward(embeddings, labels, pairs)

    training.loss = Spy(1.2)
    for batch in training._batches():
        if batch.photos.max() >= photos:
            loaded, unreadable = next(training.train_loader.stream([batch.photos]))
            training._backward(batch.without(unreadable), loaded, 1.0)
    values = {round(y, 6) for y in np.concatenate(worth).tolist()}
    assert {0.0, 1.0} < values
    assert values <= {0.0, 0.3, 0.5, 0.7, 0.8, 1.0}  # 0.8: the two mixed ones, 0.3 + 0.5


def test_a_loss_of_hard_labels_trains_without_those_of_several_identities(
    data: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = {"loss": "proxy-anchor", "batching": "identities", **SMALL}
    training = train.Training(settings(data, tmp_path, augmented_dir=(str(out),), **changes))
    train.introduce(training)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 augmented images; left out: 2 of several identities, which the contrastive loss alone understands" in said
    made = len(training.splits.train)
    assert len(training.photos) == made + 1
    batch = next(batch for batch in training._batches() if made in batch.photos)
    photos, unreadable = next(training.train_loader.stream([batch.photos]))
    training._backward(batch.without(unreadable), photos, 1.0)
    assert math.isfinite(training.state.progress.means()["loss"])


def test_damaged_images_are_listed_by_name(data: Path, tmp_path: Path) -> None:
    paths = load_splits(TrainConfig(data_dir=str(data))).train.paths
    rows = [blend(paths[0], paths[i]) for i in (1, 2, 3)]
    folder = augmented_folder(tmp_path / "out", rows, data)
    whole, empty, cut = (folder / row.path for row in rows)
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # the header is whole: it is seen when it is decoded
    training = train.Training(settings(data, tmp_path, augmented_dir=(str(folder),), **SMALL))
    training._embed(training.train_loader)
    assert {path for path, _ in training._left_out()} == {empty.as_posix(), cut.as_posix()}
    assert whole.as_posix() in training.photos.names


def test_the_two_ways_to_use_an_output_folder(data: Path, out: Path) -> None:
    with pytest.raises(UserError, match=r"data_dir .*no identities; give .*classes instead, or augmented_dir"):
        Collection.from_folder(out)
    found = Collection.from_folder(out / "classes")
    assert len(found) == 1
    splits = load_splits(TrainConfig(data_dir=str(data)))
    (made,) = load_augmented([str(out)], splits, soft_labels=True)
    assert set(found.files) <= set(made.files)
    assert made.labels.identities.max() < len(splits.train.identities)


# -- mixing ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contrastive(data: Path, tmp_path_factory: pytest.TempPathFactory) -> train.Training:
    return train.Training(settings(data, tmp_path_factory.mktemp("contrastive"), batch_size=8, **SMALL))


@pytest.fixture(scope="module")
def proxies(data: Path, tmp_path_factory: pytest.TempPathFactory) -> train.Training:
    changes = {"loss": "proxy-anchor", "batching": "identities", **SMALL}
    return train.Training(settings(data, tmp_path_factory.mktemp("proxies"), **changes))


def two_batches(training: train.Training, name: str, assignments: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """(y of the pairs, gradient of a weight) of two batches that are all mixed."""
    config = replace(training.config, mix=(name,))
    monkeypatch.setattr(training, "config", config)
    mixing = make_mixing(config.mix, assignments, 1.0, config.loss)
    mixing.try_out(training.encoder)
    monkeypatch.setattr(training, "mixing", mixing)
    worth: list[np.ndarray] = []
    plain = training.photos.pairs_of

    def pairs_of(*arguments: Any) -> Pairs:
        pairs = plain(*arguments)
        worth.append(pairs.same)
        return pairs

    monkeypatch.setattr(training.photos, "pairs_of", pairs_of)
    training.state.progress.sums = {}
    training.optimizer.zero_grad()
    training.model.train()
    batches = training._batches()[:2]
    stream = training.train_loader.stream(batch.photos for batch in batches)
    for batch, (photos, unreadable) in zip(batches, stream, strict=True):
        training._backward(batch.without(unreadable), photos, 1.0)
    return np.concatenate(worth), training.encoder.tower.conv_head.weight.grad


STRATEGIES = {name: [f"samplepairing.strategy={name}"] for name in ("gamma", "power_mean", "feature")}
WAYS = [*((name, []) for name in MIXERS), *(("samplepairing", given) for given in STRATEGIES.values())]


@pytest.mark.parametrize(("name", "assignments"), WAYS, ids=str)
def test_two_batches_with_each_method(
    name: str, assignments: list[str], contrastive: train.Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = contrastive.encoder.tower
    before = {key: tensor.clone() for key, tensor in tower.state_dict().items()}
    worth, gradient = two_batches(contrastive, name, assignments, monkeypatch)
    means = contrastive.state.progress.means()
    assert contrastive.state.progress.sums["batches"] == 2
    assert means["loss"] > 0 and math.isfinite(means["loss"])
    assert 0 <= means["active_negatives"] <= 1
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0
    soft = (worth > 0) & (worth < 1)
    assert soft.any() == MIXERS[name].mixes_labels
    tower.load_state_dict(before)  # batch norms have learnt statistics: SamplePairing asks the network as it is
    again, _ = two_batches(contrastive, name, assignments, monkeypatch)
    np.testing.assert_array_equal(worth, again)
    assert contrastive.state.progress.means()["loss"] == pytest.approx(means["loss"], rel=1e-5)


@pytest.mark.parametrize("name", [name for name, mixer in MIXERS.items() if not mixer.mixes_labels])
def test_masks_with_a_loss_of_hard_labels(name: str, proxies: train.Training, monkeypatch: pytest.MonkeyPatch) -> None:
    _, gradient = two_batches(proxies, name, [], monkeypatch)
    assert math.isfinite(proxies.state.progress.means()["loss"])
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


# -- as a program ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--mix", "mixup", "--loss", "triplet"], "--mix mixup: an image of two identities has no place"),
        (["--mix", "cutmixx"], "--mix cutmixx: no such method; did you mean cutmix?"),
        (["--mix", "mixup", "--mix_set", "mixup.alpha=-1"], "--mix_set mixup.alpha=-1.0: must be in"),
        (["--mix_probability", "1.5"], "--mix_probability 1.5: must be in [0, 1]"),
        (["--augmented_dir", "{data}"], "holds no manifest.parquet"),
        (["--augmented_dir", "{other}"], "none of its 1 images can be trained on"),
        (["--data_dir", "{out}"], "is what augment.py wrote"),
    ],
)
def test_refusals_end_with_2_and_one_line(
    flags: list[str],
    says: str,
    data: Path,
    out: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = augmented_folder(tmp_path / "other", [blend("not/there.png", "not/here.png")])
    flags = [flag.format(data=data, out=out, other=other) for flag in flags]
    first = [] if "--data_dir" in flags else ["--data_dir", str(data)]
    model = ["--model", "efficientnet-lite0", "--image_size", "64", "--device", "cpu"]
    where = ["--checkpoint_dir", str(tmp_path / "c"), "--log_dir", str(tmp_path / "l")]
    monkeypatch.setattr(sys, "argv", ["train.py", *first, *flags, *model, *where])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert says in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "c").exists()
