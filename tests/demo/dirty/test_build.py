"""The dirty collection: what the ground truth says is what lies there, and the score counts it as a person would."""

from __future__ import annotations

import csv
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from demo.dirty.build import PHOTOS, Counts, Photo, plant, read
from demo.dirty.defects import COPIES, SPOILED, jpeg, outlier
from demo.dirty.score import Finding, scores
from siamclip.data.image.decode import decode
from siamclip.errors import ImageError, UserError

COUNTS = Counts(2, 1, 2, 2, 2, 2, 4)
NEEDED = 2 + 8 + 2 + 10 + 2 + 2 + 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a rendered data set lies on the disk: noise instead of vehicles, eight folders and one clone."""
    root = tmp_path_factory.mktemp("source")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(9):
        clone = number == 8
        plate = f"京A0000{0 if clone else number}"
        folder = f"{plate}~clone" if clone else plate
        (root / "vehicles" / folder).mkdir(parents=True)
        for k in range(8):
            blocks = generator.integers(30, 220, (6, 9, 3)).astype(np.uint8)
            pixels = np.kron(blocks, np.ones((12, 12, 1), np.uint8))
            (root / "vehicles" / folder / f"{k:03d}.jpg").write_bytes(jpeg(pixels))
            rows.append({"path": f"{folder}/{k:03d}.jpg", "plate": plate, "is_clone": int(clone)})
    with (root / "ground_truth.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["path", "plate", "is_clone"])
        writer.writeheader()
        writer.writerows(rows)
    return root


@pytest.fixture(scope="module")
def dirty(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Photo]]:
    out = tmp_path_factory.mktemp("out") / "dirty"
    return out / PHOTOS, plant(source, out, COUNTS)


def test_every_photo_has_a_row_and_every_row_a_photo(dirty: tuple[Path, list[Photo]]) -> None:
    photos, rows = dirty
    on_disk = {path.relative_to(photos).as_posix() for path in photos.rglob("*.jpg")}
    assert len(rows) == len({row.path for row in rows})
    assert {row.path for row in rows} == on_disk


def test_defects_are_planted_as_often_as_they_should_be(dirty: tuple[Path, list[Photo]]) -> None:
    _, rows = dirty
    planted: dict[str, int] = {}
    for row in rows:
        planted[row.defect] = planted.get(row.defect, 0) + 1
    assert planted.pop("") > 20
    assert planted == {
        "cloned_plate": 8, "exact_copy": 2, "near_duplicate": 8, "label_conflict": 4, "outlier": 2, "label_error": 2,
        "corrupt": 4, **dict.fromkeys(SPOILED, 2),
    }  # fmt: skip


def test_the_ground_truth_is_true(dirty: tuple[Path, list[Photo]]) -> None:
    photos, rows = dirty
    for row in rows:
        if row.defect == "exact_copy":
            assert (photos / row.path).read_bytes() == (photos / row.source).read_bytes()
        elif row.defect == "label_conflict":
            assert (photos / row.path).read_bytes() == (photos / row.source).read_bytes()
            assert row.path.split("/")[0] != row.source.split("/")[0]
        elif row.defect == "label_error":
            assert row.path.split("/")[0] != row.source
        elif row.defect == "corrupt":
            with pytest.raises(ImageError):
                decode(photos / row.path)
            continue
        assert decode(photos / row.path).ndim == 3


def test_a_second_call_changes_nothing_and_other_parameters_are_refused(
    dirty: tuple[Path, list[Photo]], source: Path
) -> None:
    photos, rows = dirty
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    assert plant(source, photos.parent, COUNTS) == rows == read(photos.parent)
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before
    with pytest.raises(UserError, match="other parameters"):
        plant(source, photos.parent, COUNTS, seed=1)


def test_a_collection_of_an_earlier_version_is_taken_as_it_is(
    source: Path, dirty: tuple[Path, list[Photo]], tmp_path: Path
) -> None:
    old = tmp_path / "dirty"
    shutil.copytree(dirty[0].parent, old)
    for name, (now, then) in itertools.product(
        ("manifest.json", "ground_truth.csv"), (("outlier", "stranger"), ("label_error", "wrong_label"))
    ):
        text = (old / name).read_text("utf-8")
        assert now in text
        (old / name).write_text(text.replace(now, then), "utf-8")
    assert plant(source, old, COUNTS) == dirty[1]


def test_a_folder_with_something_else_and_a_small_source_are_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        plant(source, tmp_path / "mine", COUNTS)
    with pytest.raises(UserError, match="photos to spoil"):
        plant(source, tmp_path / "new", Counts())


@pytest.mark.parametrize("name", [*COPIES, *SPOILED])
def test_an_edit_gives_a_picture_and_leaves_its_input_alone(name: str) -> None:
    generator = np.random.default_rng(1)
    rgb = generator.integers(0, 256, (150, 200, 3)).astype(np.uint8)
    before = rgb.copy()
    edited = (COPIES | SPOILED)[name](rgb, generator)
    assert edited.dtype == np.uint8
    assert edited.ndim == 3
    assert edited.size > 0
    assert (edited.shape != rgb.shape) or (edited != rgb).any()
    assert (rgb == before).all()


def test_outliers_are_pictures() -> None:
    generator = np.random.default_rng(0)
    assert all(outlier(generator).shape == (224, 224, 3) for _ in range(12))


def test_the_score_of_known_findings() -> None:
    photos = [
        Photo("a/1.jpg", "", "", ""),
        Photo("a/2.jpg", "exact_copy", "", "a/1.jpg"),
        Photo("a/3.jpg", "near_duplicate", "jpeg", "a/4.jpg"),
        Photo("a/4.jpg", "", "", ""),
        Photo("b/1.jpg", "blurred", "", ""),
        Photo("b/2.jpg", "blurred", "", ""),
        Photo("c/1.jpg", "cloned_plate", "", ""),
        Photo("c/2.jpg", "cloned_plate", "", ""),
    ]
    found = [
        Finding("a/1.jpg", "exact", "a/2.jpg"),  # whichever of the two goes
        Finding("a/1.jpg", "phash", "a/2.jpg"),
        Finding("a/4.jpg", "phash", "b/1.jpg"),
        Finding("b/1.jpg", "laplacian", ""),
        Finding("a/4.jpg", "laplacian", ""),
        Finding("c/1.jpg", "cloned_plate", ""),
        Finding("a/1.jpg", "cloned_plate", ""),
    ]
    by_defect = {score.defect: score for score in scores(photos, found)}
    assert (by_defect["exact_copy"].recall, by_defect["exact_copy"].precision) == (1.0, 1.0)
    assert (by_defect["near_duplicate"].recall, by_defect["near_duplicate"].precision) == (0.0, 0.5)
    assert (by_defect["blurred"].recall, by_defect["blurred"].precision) == (0.5, 0.5)
    assert (by_defect["cloned_plate"].recall, by_defect["cloned_plate"].precision) == (1.0, 0.5)
    assert by_defect["dark"].flagged == 0
