"""`augment.py mix`: which photos are mixed, what is written, and what does not change it."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare

import augment
from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.method_table import MIXERS
from siamclip.augmentation.mix import parents as drawing
from siamclip.augmentation.mix.mix_folder import (
    FolderMixing,
    choose_parents,
    hash_parents,
    make_folder_mixing,
    mix_folder,
)
from siamclip.augmentation.mix.parents import Parents, draw_parents, draw_single, pool_of_pairs
from siamclip.augmentation.mix.similarity import partner_log_weights
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.augmentation.output.manifest import read_manifest
from siamclip.data.collection import Collection
from siamclip.data.image.decode import decode
from siamclip.errors import UserError
from tests.small_clip import shrink_clip

LABELS = np.array([0, 0, 0, 1, 1, 2])
ALL = np.ones(6, bool)
PATHS = ["京A/1.png", "京A/2.png", "京A/3.png", "B/1.png", "B/2.png", "lone/1.png"]


def unit_vectors(number: int = 6, dimension: int = 4) -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(number, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# -- which photos -----------------------------------------------------------------------------------------------------


def test_pairs_are_of_one_identity_unless_told_otherwise() -> None:
    pool = pool_of_pairs(LABELS, ALL, across_classes=False)
    assert pool.left_out == 1 and pool.ordered_pairs == 3 * 2 + 2 * 1
    drawn = draw_parents(pool, 300, 0, one_each=False)
    assert all(LABELS[one.first] == LABELS[one.second] and one.first != one.second for one in drawn)
    assert {one.first for one in drawn} == {0, 1, 2, 3, 4}
    across = draw_parents(pool_of_pairs(LABELS, ALL, across_classes=True), 500, 0, one_each=False)
    assert len({(one.first, one.second) for one in across}) == 6 * 5


def test_the_first_photo_is_any_and_the_partner_follows_the_weights() -> None:
    """Six photos on a quarter circle, so that no partner is too rare to be counted."""
    angles = np.linspace(0, np.pi / 2, 6)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pool = pool_of_pairs(LABELS, ALL, across_classes=True)
    weigh = partial(partner_log_weights, preference=6.0)
    drawn = draw_parents(pool, 1500, 3, one_each=False, vectors=vectors, log_weights=weigh)
    assert chisquare(list(Counter(one.first for one in drawn).values())).pvalue > 0.01
    for first in range(6):
        others = np.delete(np.arange(6), first)
        expected = weigh(torch.from_numpy(vectors[first]), torch.from_numpy(vectors[others])).softmax(0).numpy()
        counts = np.bincount([one.second for one in drawn if one.first == first], minlength=6)[others]
        assert chisquare(counts, counts.sum() * expected).pvalue > 0.001
        if first in (0, 5):  # at the ends the weights differ by a factor of 55
            assert chisquare(counts).pvalue < 1e-6, "draws of any partner alike would not pass"
    for one in drawn[:20]:
        assert one.second is not None
        assert one.similarity == pytest.approx(float(vectors[one.first] @ vectors[one.second]), abs=1e-6)


def test_weights_in_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, vectors = pool_of_pairs(LABELS, ALL, across_classes=True), unit_vectors()
    whole = draw_parents(pool, 50, 3, one_each=False, vectors=vectors, log_weights=partner_log_weights)
    monkeypatch.setattr(drawing, "BLOCK", 2)
    assert draw_parents(pool, 50, 3, one_each=False, vectors=vectors, log_weights=partner_log_weights) == whole


def test_one_each_gives_every_ordered_pair_once_and_no_more() -> None:
    pool, vectors = pool_of_pairs(LABELS, ALL, across_classes=False), unit_vectors()
    drawn = draw_parents(pool, 8, 5, one_each=True, vectors=vectors, log_weights=partner_log_weights)
    assert len({(one.first, one.second) for one in drawn}) == 8
    with pytest.raises(UserError, match=r"number 9: .* there are 8 ordered pairs; .*across_classes gives more"):
        draw_parents(pool, 9, 5, one_each=True)
    fewer = draw_parents(pool, 5, 5, one_each=True, vectors=vectors, log_weights=partner_log_weights)
    assert fewer == drawn[:5], "a longer run begins with the shorter one's pairs"


def test_photos_alone_are_drawn_in_turn() -> None:
    rows = [one.first for one in draw_single(np.array([True, False, True, True]), 9, 1)]
    assert all(sorted(rows[i : i + 3]) == [0, 2, 3] for i in (0, 3, 6))
    assert rows != [one.first for one in draw_single(np.array([True, False, True, True]), 9, 2)]


def test_unreadable_photos_are_not_drawn_and_too_few_are_told() -> None:
    mixing, vectors = make_folder_mixing("samplepairing", [], 16, "squash", 0), unit_vectors()
    vectors[[1, 3]] = np.nan
    parents, left_out = choose_parents(mixing, LABELS, 2, False, vectors)
    assert {(one.first, one.second) for one in parents} == {(0, 2), (2, 0)} and left_out == 2
    vectors[2] = np.nan
    with pytest.raises(UserError, match=r"none of its folders has two photos .*\(3 in all\); across_classes mixes"):
        choose_parents(mixing, LABELS, 2, False, vectors)
    vectors[1:] = np.nan
    with pytest.raises(UserError, match="1 photos could be read; mixing needs two"):
        choose_parents(mixing, LABELS, 2, True, vectors)


# -- what is written --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse patches, wider than high."""
    root = tmp_path_factory.mktemp("mix") / "photos"
    rng = np.random.default_rng(0)
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse.repeat(6, 0).repeat(6, 1)).save(root / path)
    return root


def run(mixing: FolderMixing, root: Path, out: Path, number: int = 7, batch_size: int = 3) -> list[MadeImage]:
    vectors = unit_vectors() if ("features" in mixing.mixer.needs) else None
    parents, _ = choose_parents(mixing, LABELS, number, True, vectors)
    photos = Collection(root, PATHS, LABELS, [])
    sources = hash_parents(photos, parents)
    with OutputFolder(out, root, "mix", {"photos": sources.fingerprint}) as output:
        mix_folder(mixing, photos, sources, output, vectors=vectors, batch_size=batch_size, sheet_rows=2)
    return read_manifest(out)


def contents(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*.png")}


@pytest.mark.parametrize("name", list(MIXERS))
def test_every_method_writes_images_with_their_parents_and_labels(name: str, collection: Path, tmp_path: Path) -> None:
    mixing = make_folder_mixing(name, [], 32, "squash", 4)
    rows = run(mixing, collection, tmp_path / "out")
    assert len(rows) == 7 and len({row.path for row in rows}) == 7
    for row in rows:
        image = decode(tmp_path / "out" / row.path)
        assert image.shape == (32, 43, 3), "the first photo's shape, 36 x 48"
        identities = {path.split("/")[0] for path in (row.first, row.second) if path}
        assert row.soft_label.keys() == identities and sum(row.soft_label.values()) == pytest.approx(1)
        assert row.path.startswith("classes/" if len(identities) == 1 else "cross_class/")
        assert (row.second != "") == mixing.mixer.mixes_labels
        if len(identities) == 2:
            assert row.soft_label[row.first.split("/")[0]] == pytest.approx(row.ratio)
        assert row.settings["geometry"] == "squash" and row.seed == 4
        assert np.isnan(row.similarity) != ("features" in mixing.mixer.needs)
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


@pytest.mark.parametrize("name", list(MIXERS))
def test_batches_and_an_interruption_change_nothing(
    name: str, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixing = make_folder_mixing(name, [], 16, "pad", 4)
    run(mixing, collection, tmp_path / "whole", batch_size=7)
    once = contents(tmp_path / "whole")
    writes = 0
    write = OutputFolder.write

    def interrupted(self: OutputFolder, images: list[tuple[MadeImage, np.ndarray]]) -> None:
        nonlocal writes
        writes += 1
        if writes == 3:
            raise KeyboardInterrupt
        write(self, images)

    monkeypatch.setattr(OutputFolder, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(mixing, collection, tmp_path / "parts", batch_size=2)
    assert len(list((tmp_path / "parts").rglob("*.png"))) == 4
    rows = run(mixing, collection, tmp_path / "parts", batch_size=2)
    assert writes == 3 + 2, "three images were left"
    assert contents(tmp_path / "parts") == once and len(rows) == 7
    other = make_folder_mixing(name, [], 16, "pad", 5)
    run(other, collection, tmp_path / "other")
    assert contents(tmp_path / "other") != once, "another seed"


@pytest.mark.parametrize("name", ["samplepairing", "mixup"])
def test_an_image_is_the_blend_that_its_row_says(name: str, collection: Path, tmp_path: Path) -> None:
    """Photos of 36 x 48 in squares of 36 without squashing: their middle, cut out."""
    for row in run(make_folder_mixing(name, [], 36, "crop", 4), collection, tmp_path / "out"):
        first, second = (decode(collection / path)[:, 6:42].astype(float) for path in (row.first, row.second))
        expected = row.ratio * first + (1 - row.ratio) * second
        assert np.abs(decode(tmp_path / "out" / row.path) - expected).max() <= 0.501


def test_what_a_mask_does_not_hide_stays_bit_for_bit(collection: Path, tmp_path: Path) -> None:
    for row in run(make_folder_mixing("random_erasing", [], 36, "crop", 4), collection, tmp_path / "out"):
        image, photo = decode(tmp_path / "out" / row.path), decode(collection / row.first)[:, 6:42]
        same = (image == photo).all(2)
        assert 0.5 < same.mean() < 1
        assert (image[~same] == [123, 117, 104]).all(), "CLIP's mean colour"


def test_a_photo_that_cannot_be_read_costs_its_own_images_alone(collection: Path, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for path in PATHS:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes((collection / path).read_bytes())
    (root / PATHS[0]).write_bytes((root / PATHS[0]).read_bytes()[:200])
    mixing = make_folder_mixing("mixup", [], 16, "squash", 0)
    parents = [Parents(0, 1, float("nan")), Parents(1, 2, float("nan")), Parents(5, 3, float("nan"))]
    photos = Collection(root, PATHS, LABELS, [])
    sources = hash_parents(photos, parents)
    (root / PATHS[5]).unlink()
    with OutputFolder(tmp_path / "out", root, "mix", {}) as output:
        failures = mix_folder(mixing, photos, sources, output)
    assert failures.keys() == {PATHS[0], PATHS[5]} and all(failures.values())
    assert [row.first for row in read_manifest(tmp_path / "out")] == [PATHS[1]]


# -- the command ------------------------------------------------------------------------------------------------------


def mix(collection: Path, out: Path, *flags: str) -> int:
    return augment.main(
        ["mix", "--input_dir", str(collection), "--output_dir", str(out), "--image_size", "32", "--number", "6", *flags]
    )


def random_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    shrink_clip(monkeypatch)
    torch.manual_seed(0)
    return ["--embedder", "ViT-B/32", "--weights", "random", "--embedding_cache", str(tmp_path / "cache")]


def test_samplepairing_of_a_folder_from_the_command_line(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, flags = tmp_path / "out", random_clip(tmp_path, monkeypatch)
    before = {path: (collection / path).read_bytes() for path in PATHS}
    assert mix(collection, out, *flags, "--copy_original", "--set", "samplepairing.alpha=0.4") == 0
    said = capsys.readouterr().out
    assert "1 photos that are alone in their folders" in said and "6 images are in" in said
    rows = read_manifest(out)
    assert len(rows) == 6 and all(row.ratio == pytest.approx(0.2 * (1 + row.similarity), abs=1e-5) for row in rows)
    assert {path: (out / "classes" / path).read_bytes() for path in PATHS} == before
    assert {path: (collection / path).read_bytes() for path in PATHS} == before
    assert "samplepairing.alpha=0.4" in (out / "settings.yaml").read_text("utf-8")
    assert json.loads((out / "siamclip-augment.json").read_text())["command"] == "mix"


def test_the_same_command_again_writes_nothing_and_another_one_is_refused(collection: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert mix(collection, out, "--method", "cutmix") == 0
    stamps = {file: file.stat().st_mtime_ns for file in (out / "classes").rglob("*.png")}
    assert len(stamps) == 6
    assert mix(collection, out, "--method", "cutmix", "--batch_size", "2") == 0
    assert {file: file.stat().st_mtime_ns for file in (out / "classes").rglob("*.png")} == stamps
    with pytest.raises(UserError, match=r"output_dir .*other settings .*method was cutmix"):
        mix(collection, out, "--method", "mixup")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--method", "cutmx"], "method cutmx: no such method; did you mean cutmix"),
        (["--set", "samplepairing.strategy=feature"], "method samplepairing: with this strategy .*train.py mix"),
        (["--set", "samplepairing.alpha=2"], r"set samplepairing.alpha=2.0: must be in \[0, 1\]"),
        (["--set", "samplepairing.alfa=1"], "samplepairing has no setting 'alfa'; did you mean alpha"),
        (["--set", "mixup.alpha=1"], "set mixup.alpha=1: method is samplepairing"),
        (["--number", "9", "--method", "samplepairing", "EMBEDDER"], "number 9: .* there are 8 ordered pairs"),
        (["--checkpoint_dir", "nowhere"], "embedder newest: there is no checkpoint .*embedder resnet50"),
        (["--image_size", "8"], "image_size 8: must be from 16"),
        (["--set", "hide_and_seek.cells=40", "--method", "hide_and_seek"], r"cells=40: must be in \[1, 32\]"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing_behind(
    flags: list[str], message: str, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "EMBEDDER" in flags:
        flags = [*flags[:-1], *random_clip(tmp_path, monkeypatch)]
    with pytest.raises(UserError, match=message):
        mix(collection, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", ["mixup", "hide_and_seek"])
def test_names_that_are_hard(method: str, collection: Path, tmp_path: Path) -> None:
    root, names = tmp_path / "photos", ["a\nb", "+=1", "very long " + "x" * 200, os.fsdecode(b"\xff\xfe")]
    for folder in ("京A·12345~2", "-x"):
        (root / folder).mkdir(parents=True)
        for name in names:
            try:
                (root / folder / f"{name}.png").write_bytes((collection / PATHS[0]).read_bytes())
            except OSError:
                continue  # not every file system takes them all
    assert mix(root, tmp_path / "out", "--method", method, "--across_classes", "--number", "20") == 0
    rows = read_manifest(tmp_path / "out")
    assert len({row.path for row in rows}) == 20
    photos = {file.relative_to(root).as_posix() for file in root.rglob("*.png")}
    assert {path for row in rows for path in (row.first, row.second) if path} <= photos
    assert all((tmp_path / "out" / row.path).is_file() for row in rows)


def test_a_photo_that_cannot_be_decoded_gives_exit_code_1(
    collection: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "photos"
    for path in PATHS[:3]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes((collection / path).read_bytes())
    (root / PATHS[0]).write_bytes((root / PATHS[0]).read_bytes()[:150])
    assert mix(root, tmp_path / "out", "--method", "gridmask") == 1
    assert "京A/1.png" in capsys.readouterr().out
    assert {row.first for row in read_manifest(tmp_path / "out")} == {"京A/2.png", "京A/3.png"}
