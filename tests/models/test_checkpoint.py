"""Checkpoints: whole or not at all, and nothing in them is trusted."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xxhash

from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically
from siamclip.models.checkpoint import (
    METADATA,
    find,
    load_encoder,
    pack_optimizer,
    read_metadata,
    read_tensors,
    save,
    unpack_optimizer,
)
from siamclip.models.encoder import SiameseEncoder, create
from siamclip.models.weights import read_state_dict

FORK = multiprocessing.get_context("fork")  # a child that need not import torch again


@pytest.fixture(scope="module")
def encoder() -> SiameseEncoder:
    return create("efficientnet-lite0", image_size=96)


@pytest.fixture
def checkpoint(encoder: SiameseEncoder, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints" / "run" / "best"
    save(folder, {"weights": encoder.tower.state_dict()}, {"run": "run", "encoder": encoder.spec.to_dict()})
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    change(metadata)
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")


def weights_file(folder: Path) -> Path:
    (path,) = folder.glob("weights-*.safetensors")
    return path


# -- the way there and back ---------------------------------------------------------------------------------------


def test_an_encoder_comes_back_bit_for_bit(encoder: SiameseEncoder, checkpoint: Path) -> None:
    loaded, metadata = load_encoder(checkpoint)
    assert loaded.spec == encoder.spec
    assert metadata["run"] == "run"
    assert not loaded.training
    expected = encoder.tower.state_dict()
    assert loaded.tower.state_dict().keys() == expected.keys()
    for name, tensor in loaded.tower.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
        assert tensor.dtype == expected[name].dtype
    pixels = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(loaded(pixels), encoder(pixels))


def test_names_of_any_script_come_back(tmp_path: Path) -> None:
    run = "京A12345 🚗 \udcff"  # the last stands for a byte that is no UTF-8, as in a folder's name
    save(tmp_path, {"weights": {"a": torch.zeros(1)}}, {"run": run})
    assert read_metadata(tmp_path)["run"] == run


def test_saving_again_leaves_one_checkpoint(tmp_path: Path) -> None:
    for value in range(3):
        save(tmp_path, {"weights": {"a": torch.full((4,), float(value))}}, {"value": value})
    assert read_tensors(tmp_path, read_metadata(tmp_path), "weights")["a"].tolist() == [2.0] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [METADATA, weights_file(tmp_path).name]


def test_an_optimiser_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    def steps(parameter: torch.nn.Parameter, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            parameter.square().sum().backward()
            optimizer.step()

    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)
    steps(parameter, optimizer, 3)
    copy = torch.nn.Parameter(parameter.detach().clone())
    tensors, rest = pack_optimizer(optimizer.state_dict())
    save(tmp_path, {"training": tensors}, {"optimizer": rest})
    metadata = read_metadata(tmp_path)
    restored = torch.optim.AdamW([copy], lr=0.5)
    restored.load_state_dict(unpack_optimizer(read_tensors(tmp_path, metadata, "training"), metadata["optimizer"]))
    steps(parameter, optimizer, 3)
    steps(copy, restored, 3)
    assert torch.equal(copy, parameter)


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "bit flipped in the header", "bit flipped in a weight", "missing"])
def test_damaged_weights_are_refused(damage: str, checkpoint: Path) -> None:
    path = weights_file(checkpoint)
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "missing":
        path.unlink()
    else:
        content[20 if "header" in damage else len(content) - 1000] ^= 1
        path.write_bytes(content)
    with pytest.raises(UserError, match=path.name):
        load_encoder(checkpoint)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": 99}', "\xff", '{"format": 1}', '{"format": 1, "encoder": []}']
)
def test_damaged_metadata_is_refused(text: str, checkpoint: Path) -> None:
    (checkpoint / METADATA).write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        load_encoder(checkpoint)


def change_spec(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: metadata["encoder"].update(changes)


def change_preprocessing(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda metadata: metadata["encoder"]["preprocessing"].update(changes)


RESNET = {"model": "resnet50", "architecture": "resnet50", "activation": "relu", "dimension": 2048}
CONTRADICTIONS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another model's name": change_spec(model="resnet50"),
    "another model altogether": change_spec(**RESNET),
    "an unknown model": change_spec(model="ViT-B/33"),
    "another architecture": change_spec(architecture="tf_efficientnet_lite1"),
    "another activation": change_spec(activation="gelu"),
    "another dimension": change_spec(dimension=512),
    "an unknown entry": change_spec(pooling="max"),
    "a missing entry": lambda metadata: metadata["encoder"].pop("activation"),
    "a geometry that does not exist": change_preprocessing(geometry="stretch"),
    "a size that is none": change_preprocessing(size="96"),
    "no standard deviation": change_preprocessing(std=[0, 0, 0]),
    "an unknown step": change_preprocessing(sharpen=True),
    "a missing step": lambda metadata: metadata["encoder"]["preprocessing"].pop("mean"),
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_metadata_that_contradicts_the_weights_is_refused(contradiction: str, checkpoint: Path) -> None:
    edit(checkpoint, CONTRADICTIONS[contradiction])
    with pytest.raises(UserError):
        load_encoder(checkpoint)


@pytest.mark.parametrize("absolute", [False, True])
def test_files_outside_the_folder_are_not_read(absolute: bool, checkpoint: Path) -> None:
    outside = checkpoint.parent / "outside.safetensors"
    weights_file(checkpoint).rename(outside)
    name = str(outside) if absolute else "../outside.safetensors"
    edit(checkpoint, lambda metadata: metadata["files"]["weights"].update(name=name))
    with pytest.raises(UserError, match="cannot be read"):
        load_encoder(checkpoint)


# -- pickles ------------------------------------------------------------------------------------------------------


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("by_torch", [True, False])
def test_a_malicious_weights_file_is_not_executed(by_torch: bool, suffix: str, tmp_path: Path) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / f"weights{suffix}"
    content = {"weight": torch.zeros(2), "trap": Trap(sprung)}
    if by_torch:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))  # torch warns of any other
    with pytest.raises(UserError, match=path.name):
        read_state_dict(path)
    assert not sprung.exists()
    if suffix == ".pt" and by_torch:
        torch.load(path, weights_only=False)
        assert sprung.exists(), "the trap works where pickles are executed"


def test_a_pickle_in_a_checkpoint_is_not_executed(checkpoint: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    content = pickle.dumps(Trap(sprung))
    weights_file(checkpoint).write_bytes(content)
    entry = {"bytes": len(content), "xxh3": xxhash.xxh3_128_hexdigest(content)}
    edit(checkpoint, lambda metadata: metadata["files"]["weights"].update(entry))
    with pytest.raises(UserError, match="weights"):
        load_encoder(checkpoint)
    assert not sprung.exists()


# -- writing ------------------------------------------------------------------------------------------------------


def large(value: float) -> dict[str, dict[str, torch.Tensor]]:
    """Filled by NumPy: torch would use threads, which a forked child does not have, and wait for them for ever."""
    return {"weights": {"a": torch.from_numpy(np.full(500_000, value, np.float32))}}


def save_with_little_room(folder: Path) -> None:
    """Exits with 3 if saving raises UserError on a disk that takes files up to 1 MB: a child's whole life."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    try:
        save(folder, large(2.0), {"value": 2})
    except UserError:
        os._exit(3)
    os._exit(0)


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    save(tmp_path, large(1.0), {"value": 1})
    before = sorted(path.name for path in tmp_path.iterdir())
    child = FORK.Process(target=save_with_little_room, args=(tmp_path,))
    child.start()
    child.join()
    assert child.exitcode == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    metadata = read_metadata(tmp_path)
    assert metadata["value"] == 1
    assert read_tensors(tmp_path, metadata, "weights")["a"].eq(1).all()


def save_for_ever(folder: Path, first: int) -> None:
    for value in range(first, first + 1_000_000):
        save(folder, large(float(value)), {"value": value})


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    chance = random.Random(0)
    save(tmp_path, large(0.0), {"value": 0})
    values = [0]
    for _ in range(12):
        child = FORK.Process(target=save_for_ever, args=(tmp_path, values[-1] + 1))
        child.start()
        time.sleep(chance.uniform(0.01, 0.15))
        child.kill()
        child.join()
        metadata = read_metadata(tmp_path)
        values.append(metadata["value"])
        assert read_tensors(tmp_path, metadata, "weights")["a"].eq(metadata["value"]).all()
    assert values == sorted(values)
    assert values[-1] > 12, "the children got as far as saving"


def test_what_the_killed_left_behind_goes_with_the_next_save(tmp_path: Path) -> None:
    save(tmp_path, large(1.0), {})
    (tmp_path / "weights-0123456789ab.safetensors").write_bytes(b"of a save that was killed before its metadata")
    save(tmp_path, large(2.0), {})
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_a_write_that_fails_leaves_the_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# -- finding ------------------------------------------------------------------------------------------------------


def test_newest_is_the_best_that_was_saved_last(tmp_path: Path) -> None:
    for age, run in ((30, "b"), (10, "a"), (20, "c")):
        save(tmp_path / run / "best", {}, {"run": run})
        saved = time.time() - age
        os.utime(tmp_path / run / "best" / METADATA, (saved, saved))
    save(tmp_path / "d" / "last", {}, {"run": "d"})
    assert find("newest", tmp_path) == tmp_path / "a" / "best"


def test_a_checkpoint_is_found_by_run_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "checkpoints"
    for kind in ("best", "last"):
        save(root / "run" / kind, {}, {})
    assert find("run", root) == root / "run" / "best"
    assert find("run/last", root) == root / "run" / "last"
    assert find(str(root / "run"), tmp_path) == root / "run" / "best"
    assert find(str(root / "run" / "last"), tmp_path) == root / "run" / "last"
    monkeypatch.chdir(root)
    assert find("run", Path("elsewhere")).resolve() == root / "run" / "best"


@pytest.mark.parametrize("name", ["newest", "run", "/"])
def test_a_missing_checkpoint_is_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=name):
        find(name, tmp_path)
