"""Methods run in order, on what the scan has, and doubtful pairs are looked at again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from demo.dirty.defects import cropped, jpeg, recompressed
from siamclip import methods as method_tables
from siamclip.cleaning.consistency.neighbours import usable_rows
from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, PhotoTable, findings
from siamclip.cleaning.duplicates.geometry.geometric_verification import NOT_CHECKED
from siamclip.cleaning.find.run_methods import check_doubtful_pairs, missing, run_methods
from siamclip.cleaning.method_table import METHODS, SCORERS, CleaningMethod
from siamclip.data.image.decode import content_hash
from siamclip.errors import UserError
from tests.test_clean import scene

NUMBER = 6


def some_photos(root: Path = Path("photos"), labels: tuple[int, ...] = (0, 0, 0, 1, 1, 1)) -> PhotoTable:
    vectors = np.eye(NUMBER, 8, dtype=np.float32)
    return PhotoTable(
        root=root,
        paths=[f"{'AB'[label]}/{i}.jpg" if label >= 0 else f"{i}.jpg" for i, label in enumerate(labels)],
        content=np.array([f"{i:032x}" for i in range(NUMBER)], "S32"),
        bytes=np.arange(NUMBER, dtype=np.int64),
        errors=[""] * NUMBER,
        labels=np.array(labels, np.int64),
        identities=["A", "B"],
        columns={"width": np.full(NUMBER, 720, np.int32), "height": np.full(NUMBER, 540, np.int32)},
        embeddings=vectors,
    )


def spoils_the_first(photos: PhotoTable) -> Findings:
    return findings("spoils", [0], [1.0], ["spoilt"])


def counts_embeddings(photos: PhotoTable, *, seen: list[int] = []) -> Findings:  # noqa: B006 - what it saw is asked for
    seen.append(len(usable_rows(photos)))
    return findings("counts", [], [], [])


def pairs_of_the_first_two(photos: PhotoTable) -> CopyPairs:
    assert photos.preference is not None
    assert photos.preference[0] == NUMBER - 1, "what another method wants removed is no keeper"
    return CopyPairs("pairs", np.array([0]), np.array([1]), np.array([1.0], np.float32))


@pytest.fixture
def methods(monkeypatch: pytest.MonkeyPatch) -> dict[str, CleaningMethod]:
    rows = {
        "spoils": CleaningMethod("spoils", "here:spoils_the_first", "", family="sharpness"),
        "pairs": CleaningMethod("pairs", "here:pairs_of_the_first_two", "", family="duplicates"),
        "counts": CleaningMethod("counts", "here:counts_embeddings", "", ("embedding",), family="outliers"),
    }
    original = method_tables.load_target
    own = {row.target: globals()[row.target.split(":")[1]] for row in rows.values()}
    monkeypatch.setattr(method_tables, "load_target", lambda target: own.get(target) or original(target))
    return rows


def test_what_goes_anyway_is_neither_keeper_nor_stranger(methods: dict[str, CleaningMethod]) -> None:
    photos = some_photos()
    before = photos.vectors().copy()
    seen: list[int] = []
    found = run_methods(photos, list(methods.values()), {"counts": {"seen": seen}})
    assert seen == [NUMBER - 1]
    assert (photos.vectors() == before).all()
    assert [part.method for part in found.findings] == ["spoils", "counts"]
    assert [part.method for part in found.pairs] == ["pairs"]


def test_what_compares_photos_must_not_want_one_removed(
    methods: dict[str, CleaningMethod], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(method_tables, "load_target", lambda target: spoils_the_first)
    with pytest.raises(AssertionError, match="counts: proposes a removal"):
        run_methods(some_photos(), [methods["counts"]], {})


def test_a_scan_without_orientations_is_told_before_any_method_runs() -> None:
    started: list[str] = []
    settings = {"phash": {"threshold": 5, "orientations": True}}
    photos = some_photos()
    photos.columns |= {name: np.zeros(NUMBER) for name in SCORERS["perceptual"].columns}
    with pytest.raises(UserError, match=r"^set phash.orientations=true: the scan .*; scan again with orientations"):
        run_methods(photos, [METHODS["exact"], METHODS["phash"]], settings, starts=started.append)
    assert started == []


def test_a_method_without_what_it_needs_is_left_out_with_the_reason_unless_it_is_named() -> None:
    photos = some_photos()
    photos.embeddings = None
    chosen = [METHODS[name] for name in ("laplacian", "semantic", "object_area", "iqa")]
    found = run_methods(photos, chosen, {})
    assert found.left_out.keys() == {"laplacian", "semantic", "object_area", "iqa"}
    assert "embedder newest" in str(found.left_out["semantic"])
    assert "object_area.boxes" in str(found.left_out["object_area"])
    for name in found.left_out:
        with pytest.raises(UserError, match=f"^methods {name}: "):
            run_methods(photos, chosen, {}, named=[name])


def test_labels_are_needed_where_they_are_said_to_be() -> None:
    assert missing(METHODS["label_errors"], some_photos(), {}) is None
    assert missing(METHODS["label_errors"], some_photos(labels=(NO_LABEL,) * NUMBER), {}) is not None


@pytest.mark.parametrize(
    ("first", "second", "says"), [([1], [0], "later one first"), ([0], [1], "archive"), ([1], [2], "cannot be read")]
)
def test_pairs_that_break_the_contract_stop_the_run(
    methods: dict[str, CleaningMethod], monkeypatch: pytest.MonkeyPatch, first: list[int], second: list[int], says: str
) -> None:
    photos = some_photos()
    photos.archived = np.array([True, True, False, False, False, False])
    photos.errors[2] = "damaged"
    wrong = CopyPairs("pairs", np.array(first), np.array(second), np.zeros(1, np.float32))
    monkeypatch.setattr(method_tables, "load_target", lambda target: lambda photos: wrong)
    with pytest.raises(AssertionError, match=says):
        run_methods(photos, [methods["pairs"]], {})


def test_doubtful_pairs_are_checked_and_the_others_are_not(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    copies = [scene(1), recompressed(scene(1), generator), cropped(scene(1), generator), scene(2), scene(3), scene(4)]
    photos = some_photos(tmp_path)
    for path, pixels in zip(photos.paths, copies, strict=True):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(jpeg(pixels, 95))
    photos.content = np.array([content_hash(photos.file(i)) for i in range(NUMBER)], "S32")
    phash = CopyPairs("phash", np.array([0, 0, 3]), np.array([1, 2, 4]), np.array([0, 4, 5], np.float32))
    near, far = 0.1, 0.4
    semantic = CopyPairs("semantic", np.array([0, 0, 1]), np.array([1, 2, 3]), np.array([near, far, far], np.float32))
    checked, verdicts = check_doubtful_pairs(
        photos, [phash, semantic], {"phash": {"threshold": 5}, "semantic": {}}, 0.14, 12
    )
    assert (verdicts["phash"].inliers != NOT_CHECKED).tolist() == [False, True, True]
    assert verdicts["phash"].confirmed.tolist() == [False, True, False]
    assert verdicts["phash"].rejected.tolist() == [False, False, True]
    # of one identity only what is near enough to go; of two identities everything
    assert (verdicts["semantic"].inliers != NOT_CHECKED).tolist() == [True, False, True]
    assert verdicts["semantic"].confirmed.tolist() == [True, False, False]
    assert (checked[0].inliers == verdicts["phash"].inliers).all()
