"""Checkpoints, augmented folders, diffusion models and caches of an earlier version still load: see README.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.compatibility.artefacts import CPU, Script, files, read, rows

# Distances in float32 may differ by this between processors.
NEAR = 1e-3
QUERY, AGAIN = "photos/京JD79683/000.jpg", "photos/京JD79683/again.jpg"


# -- checkpoints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("checkpoint", ["old", "checkpoints/old", "checkpoints/old/best", "newest"])
def test_predict_answers_as_it_did(old: Path, run: Script, checkpoint: str) -> None:
    expected = rows("answers.csv")
    run("predict.py", "--checkpoint", checkpoint, "--pairs", "pairs.csv", "--out", "again.csv", *CPU)
    found = rows("again.csv")
    assert [row["img2"] for row in found] == [AGAIN, "photos/云C99333/001.jpg"]
    for was, now in zip(expected, found, strict=True):
        assert now.keys() == was.keys()
        assert (now["answer"], now["is_same"]) == (was["answer"], was["is_same"]) == ("near the threshold", "True")
        for name in ("distance", "confidence"):
            assert float(now[name]) == pytest.approx(float(was[name]), abs=NEAR)


def test_evaluate_reports_what_it_did(old: Path, run: Script) -> None:
    run(
        "evaluate.py", "--checkpoint", "old", "--data_dir", "photos", "--out", "evaluation",
        "--bootstrap_replicates", "20", *CPU,
    )  # fmt: skip
    was, now = read("metrics.json"), read("evaluation/metrics.json")
    assert now["photos"] == was["photos"]
    assert now["pairs"] == was["pairs"]
    assert now["decision"] == was["decision"]
    assert now["figures"].keys() == was["figures"].keys()
    for name in ("auc", "eer", "accuracy", "f1", "rank5"):
        # Two distances that are all but equal may change their order on another processor.
        assert now["figures"][name]["value"] == pytest.approx(was["figures"][name]["value"], abs=0.05), name


def test_an_interrupted_training_goes_on(old: Path, run: Script) -> None:
    before = read("checkpoints/old/last/metadata.json")
    assert before["epoch"] == 1
    printed = run("train.py", "--resume", "--device", "cpu")
    after = read("checkpoints/old/last/metadata.json")
    assert "epoch 2/2" in printed
    assert (after["epoch"], after["progress"]["step"]) == (2, 2 * before["progress"]["step"])
    assert after["progress"]["history"][:2] == before["progress"]["history"]
    # The epoch that was left is the one of the run that was not interrupted.
    was, now = read("history.json")[2], after["progress"]["history"][2]
    assert now.keys() == was.keys()
    for name in ("loss", "learning_rate", "val_loss", "mean_cosine"):
        assert now[name] == pytest.approx(was[name], abs=NEAR), name
    assert after["files"]["weights"]["xxh3"] != before["files"]["weights"]["xxh3"]
    for name in ("split", "photos", "encoder"):
        assert after[name] == before[name]


def test_the_settings_of_a_run_start_another(old: Path, run: Script) -> None:
    run("train.py", "--config", "train.yaml", "--run_name", "new", "--num_epochs", "1")
    settings = yaml.safe_load(Path("train.yaml").read_text(encoding="utf-8"))
    first, second = read("checkpoints/old/last/metadata.json"), read("checkpoints/new/last/metadata.json")
    kept = {name: value for name, value in settings.items() if name not in ("run_name", "num_epochs")}
    assert {name: second["config"][name] for name in kept} == kept
    assert settings["learning_rate"] == 0.003
    assert second["split"] == first["split"]
    # Before the first epoch, both runs have the same random weights.
    was, now = first["progress"]["history"][0], second["progress"]["history"][0]
    assert now["val_loss"] == pytest.approx(was["val_loss"], abs=NEAR)
    assert now["mean_cosine"] == pytest.approx(was["mean_cosine"], abs=NEAR)


def test_groups_of_copies_keep_identities_on_one_side(old: Path, run: Script) -> None:
    split = read("checkpoints/old/last/metadata.json")["split"]
    assert ("云C99333" in split["val"], "京K2J97J" in split["test"]) == (True, True)
    groups = ("--duplicate_groups", "found/groups.csv")
    printed = run("train.py", "--config", "train.yaml", "--run_name", "grouped", "--num_epochs", "1", *groups)
    assert "duplicates keep 2 identities on one side with each other" in printed
    assert "the same bytes on two sides" not in printed
    sides = read("checkpoints/grouped/last/metadata.json")["split"].values()
    assert [{"云C99333", "京K2J97J"} <= set(side) for side in sides].count(True) == 1


def test_remembered_embeddings_are_used(old: Path, run: Script) -> None:
    before = files("embedding_cache")
    assert len(before) == 2
    # Of the folder alone: what was not found in the cache would be written into a part of its own.
    cache = ("--embedding_cache", "embedding_cache")
    search = ("--checkpoint", "old", "--query", QUERY, "--top_k", "4", "--json", *cache, *CPU)
    part = json.loads(run("predict.py", *search, "--folder", "photos/京JD79683"))
    assert part["candidates"] == 5
    assert files("embedding_cache") == before
    was, now = read("search.json"), json.loads(run("predict.py", *search, "--folder", "photos"))
    assert [photo["path"] for photo in now["nearest"]] == [photo["path"] for photo in was["nearest"]]
    assert now["nearest"][1]["path"] == AGAIN
    for one, other in zip(was["nearest"], now["nearest"], strict=True):
        assert other["distance"] == pytest.approx(one["distance"], abs=1e-6)  # the vectors are those of the file
    assert now["unreadable"] == was["unreadable"]
    assert files("embedding_cache") == before


# -- augmented folders, diffusion models ------------------------------------------------------------------------------


def test_training_takes_an_augmented_folder(old: Path, run: Script) -> None:
    added = ("--augmented_dir", "fused")
    printed = run("train.py", "--config", "train.yaml", "--run_name", "augmented", "--num_epochs", "1", *added)
    # Of twelve images, ten are made of photos of the validation and the test side.
    train = read("checkpoints/augmented/last/metadata.json")["split"]["train"]
    usable = [row for row in rows("fused/manifest.csv") if row["first"].partition("/")[0] in train]
    assert len(usable) == 2
    assert "fused: 2 augmented images; left out: 10" in printed


def test_a_fused_folder_is_completed(old: Path, run: Script) -> None:
    before = files("fused")
    lost = "classes/津C9JA15/000+002.linear.png"
    Path("fused", lost).unlink()
    printed = run("augment.py", "fuse", "--config", "temp_fusion.yaml")
    assert "11 images are there already" in printed
    after = files("fused")
    assert after.keys() == before.keys()
    images = {name for name in before if name.startswith("classes/")}
    assert len(images) == 12
    assert {name for name in images if after[name] != before[name]} <= {lost}
    table = rows("fused/manifest.csv")
    assert [row["path"] for row in table] == sorted(images)
    assert {row["method"] for row in table} == {"linear", "layer_selective"}


def test_the_settings_of_a_fusion_are_read(old: Path, run: Script) -> None:
    """Nothing is lost, so nothing is made: the manifest stays as it is."""
    before = Path("fused/manifest.csv").read_bytes()
    assert "12 images are there already" in run("augment.py", "fuse", "--config", "temp_fusion.yaml")
    assert Path("fused/manifest.csv").read_bytes() == before
    was, now = (yaml.safe_load(Path(name).read_text("utf-8")) for name in ("fused/settings.yaml", "temp_fusion.yaml"))
    assert now == was
    assert (now["max_pairs"], now["set"]) == (6, ["layer_selective.structure_weight=0.9"])


def test_the_training_of_a_diffusion_model_goes_on(old: Path, run: Script) -> None:
    from safetensors.numpy import load_file

    weights = "ddpm/unet/diffusion_pytorch_model.safetensors"
    before, model = read("ddpm/training/metadata.json"), load_file(weights)
    assert before["step"] == 4
    run("augment.py", "train-ddpm", "photos", "--out", "ddpm", "--resume", "--num_steps", "6", "--device", "cpu")
    after = read("ddpm/training/metadata.json")
    assert (after["step"], after["fingerprint"], after["unet"]) == (6, before["fingerprint"], before["unet"])
    may_change = {"num_steps": 6, "num_workers": 4, "sample_every": 2000}  # now as they were not given
    assert after["config"] == before["config"] | may_change
    now = load_file(weights)
    assert now.keys() == model.keys()
    moved = max(float(np.abs(now[name] - model[name]).max()) for name in model)
    assert 0 < moved < 3e-3  # two small steps from where it stood, not from random weights
