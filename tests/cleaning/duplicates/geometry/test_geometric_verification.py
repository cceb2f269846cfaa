"""The geometric check on drawn scenes, on real photos where they are, and on files that are gone."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.geometry import geometric_verification as geometry
from siamclip.cleaning.duplicates.geometry.geometric_verification import (
    NOT_CHECKED,
    Verdicts,
    affine_between,
    keypoints_of,
    verify,
)
from siamclip.cleaning.duplicates.geometry.overlay import agreement_under
from siamclip.data.image.decode import content_hash
from siamclip.errors import UserError
from tests.reference_data import reference_data


def scene(seed: int, width: int = 420, height: int = 300) -> np.ndarray:
    """uint8 (H, W, 3): smooth light, and many shapes with edges."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 200, (5, 7, 3)).astype(np.float32)
    image = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    for _ in range(60):
        corner, size = rng.integers((0, 0), (width, height)), rng.integers(6, 70, 2)
        colour = rng.uniform(0, 255, 3).tolist()
        cv2.rectangle(image, corner.tolist(), (corner + size).tolist(), colour, -1)
        cv2.line(image, corner.tolist(), rng.integers((0, 0), (width, height)).tolist(), colour, 2, cv2.LINE_AA)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8)


def edits(photo: np.ndarray) -> dict[str, np.ndarray]:
    height, width = photo.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 7, 1.0)
    marked = cv2.putText(photo.copy(), "COPY", (width // 6, height // 2), 0, 2.0, (255, 255, 255), 3)
    return {
        "crop": photo[20:-10, 30:-15],
        "half": cv2.resize(photo, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "squashed": cv2.resize(photo, (width, int(height * 0.75)), interpolation=cv2.INTER_AREA),
        "jpeg": np.asarray(cv2.imdecode(cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 25])[1], 1)),
        "blurred": cv2.GaussianBlur(photo, (0, 0), 1.5),
        "brighter": np.clip(photo * 1.2 + 20, 0, 255).astype(np.uint8),
        "turned a little": cv2.warpAffine(photo, turn, (width, height)),
        "turned by 90": np.ascontiguousarray(np.rot90(photo)),
        "watermark": marked,
    }


def collection(folder: Path, images: Sequence[np.ndarray]) -> PhotoTable:
    paths = [f"{i:03}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        (folder / path).write_bytes(cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    return photos_in(folder, paths)


def photos_in(folder: Path, paths: list[str]) -> PhotoTable:
    number = len(paths)
    hashes = np.array([content_hash(folder / path) for path in paths], dtype="S32")
    sizes = np.array([(folder / path).stat().st_size for path in paths])
    return PhotoTable(folder, paths, hashes, sizes, [""] * number, np.full(number, -1), [])


def pairs(*rows: tuple[int, int], distance: float = 1.0) -> CopyPairs:
    first, second = (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else ([], [])
    first, second = np.asarray(first, np.int64), np.asarray(second, np.int64)
    return CopyPairs("phash", first, second, np.full(len(first), distance, np.float32))


def checked(photos: PhotoTable, *rows: tuple[int, int], **options: object) -> Verdicts:
    return verify(photos, pairs(*rows), **options)[1]  # type: ignore[arg-type]


@pytest.mark.parametrize("detector", ["orb", "sift"])
def test_copies_are_confirmed_and_other_photos_rejected(tmp_path: Path, detector: str) -> None:
    photo = scene(1)
    copies = edits(photo)
    photos = collection(tmp_path, [photo, *copies.values(), scene(2), scene(3)])
    rows = [(0, i + 1) for i in range(len(copies))]
    verdicts = checked(photos, *rows, (0, len(photos) - 2), (len(photos) - 2, len(photos) - 1), detector=detector)
    assert dict(zip(copies, verdicts.confirmed, strict=False)) == dict.fromkeys(copies, True)
    assert list(verdicts.confirmed[-2:]) == [False, False] and list(verdicts.rejected[-2:]) == [True, True]
    assert verdicts.inliers[:-2].min() > 30 and verdicts.inliers[-2:].max() < 12
    assert verdicts.notes == {"confirmed": len(copies), "rejected": 2}


def test_the_same_thing_before_another_background_is_no_copy(tmp_path: Path) -> None:
    """The matches agree on one map, as on a vehicle's flat rear; the pixels around do not."""
    thing = scene(4, 170, 120)
    views = []
    for seed in (5, 6):
        view = scene(seed)
        view[90:210, 125:295] = thing
        views.append(view)
    photos = collection(tmp_path, views)
    verdicts = checked(photos, (0, 1))
    assert verdicts.inliers[0] >= 12
    assert verdicts.agreement[0] < 0.6
    assert verdicts.rejected[0]
    assert checked(photos, (0, 1), min_agreement=-1.0).confirmed[0]


def test_two_crops_that_share_a_strip_are_no_copies(tmp_path: Path) -> None:
    wide = scene(7, 700, 300)
    photos = collection(tmp_path, [wide[:, :400], wide[:, 260:]])
    verdicts = checked(photos, (0, 1))
    assert verdicts.inliers[0] >= 12 and verdicts.agreement[0] == 0.0 and verdicts.rejected[0]


def test_a_mirrored_copy_is_confirmed_where_it_is_asked_for(tmp_path: Path) -> None:
    photo = scene(8)
    photos = collection(tmp_path, [photo, photo[:, ::-1], photo[5:, 3:], scene(9)])
    rows = [(0, 1), (0, 2), (0, 3)]
    assert list(checked(photos, *rows).confirmed) == [False, True, False]
    assert list(checked(photos, *rows, mirrored=True).confirmed) == [True, True, False]


def test_only_borderline_pairs_are_checked(tmp_path: Path) -> None:
    photos = collection(tmp_path, [scene(1), scene(1)[4:], scene(2)])
    found = pairs((0, 1), (0, 2), (1, 2))
    found.distance[:] = [2, 3, 4]
    filled, verdicts = verify(photos, found, above=3)
    assert filled.inliers is not None and list(filled.inliers == NOT_CHECKED) == [True, False, False]
    assert found.inliers is None and filled.method == "phash"
    assert list(verdicts.confirmed | verdicts.rejected) == [False, True, True]
    assert np.isnan(verdicts.agreement[0])


def test_what_cannot_be_checked_is_neither_confirmed_nor_rejected(tmp_path: Path) -> None:
    flat = np.full((200, 200, 3), 90, np.uint8)
    photos = collection(tmp_path, [scene(1), scene(1)[3:], scene(2), scene(3), flat, scene(5)])
    (tmp_path / photos.paths[1]).unlink()
    (tmp_path / photos.paths[2]).write_bytes((tmp_path / photos.paths[0]).read_bytes())
    (tmp_path / photos.paths[3]).write_bytes(b"no photo")
    photos.content[3] = content_hash(tmp_path / photos.paths[3]).encode()
    photos.errors[5] = "truncated"
    verdicts = checked(photos, (0, 1), (0, 2), (0, 3), (0, 4), (0, 5))
    assert (verdicts.inliers == NOT_CHECKED).all()
    assert not verdicts.confirmed.any() and not verdicts.rejected.any()
    assert verdicts.notes == {
        "confirmed": 0,
        "rejected": 0,
        "not checked (changed since the scan)": 1,
        "not checked (too few keypoints)": 1,
        "not checked (unreadable)": 2,
        "not checked (vanished since the scan)": 1,
    }


def test_the_answer_does_not_depend_on_the_order_of_files_threads_or_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [scene(1), *list(edits(scene(1)).values())[:3], scene(2), scene(2)[:, 12:]]
    photos = collection(tmp_path, images)
    rows = list(itertools.combinations(range(len(images)), 2))
    expected = checked(photos, *rows, workers=1)
    order = np.random.default_rng(1).permutation(len(images))
    place = np.argsort(order)
    shuffled = photos_in(tmp_path, [photos.paths[i] for i in order])
    swapped = [tuple(sorted((int(place[a]), int(place[b])))) for a, b in rows]
    monkeypatch.setattr(geometry, "_CHUNK", 2)
    done: list[int] = []
    other = verify(shuffled, pairs(*swapped), workers=4, cache_mb=1, advance=done.append)[1]  # type: ignore[arg-type]
    np.testing.assert_array_equal(other.inliers, expected.inliers)
    np.testing.assert_array_equal(other.agreement, expected.agreement)
    assert sum(done) == len(rows) and len(done) == -(-len(rows) // 2)


def test_features_are_computed_once_a_photo_while_they_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = collection(tmp_path, [scene(i) for i in range(5)])
    seen: list[int] = []
    make = geometry._FeatureStore._make

    def counted(self: geometry._FeatureStore, row: int, flipped: bool) -> object:
        seen.append(row)
        return make(self, row, flipped)

    monkeypatch.setattr(geometry._FeatureStore, "_make", counted)
    rows = list(itertools.combinations(range(5), 2))
    checked(photos, *rows, workers=1)
    assert sorted(seen) == [0, 1, 2, 3, 4]


def test_the_cache_stays_within_its_bytes(tmp_path: Path) -> None:
    photos = collection(tmp_path, [scene(i) for i in range(6)])
    store = geometry._FeatureStore(photos, "orb", 500_000)
    for row in (0, 1, 2, 3, 4, 5, 0):
        found = store.get(row)
        assert isinstance(found, geometry.Keypoints) and found.size > 100_000
        assert store._bytes == sum(f.size for f in store._known.values() if isinstance(f, geometry.Keypoints))
        assert store._bytes <= 500_000
    assert len(store._known) > 1


@settings(deadline=None, max_examples=25)
@given(
    angle=st.floats(-180, 180),
    scale=st.floats(0.5, 1.6),
    squash=st.floats(0.8, 1.25),
    shift=st.tuples(st.integers(-25, 25), st.integers(-25, 25)),
)
def test_the_map_that_made_the_copy_is_found(angle: float, scale: float, squash: float, shift: tuple[int, int]) -> None:
    photo = scene(11)
    height, width = photo.shape[:2]
    true = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale) @ np.array(
        [[squash, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]
    )
    copy = cv2.warpAffine(photo, true, (width, height))
    first, second = keypoints_of(photo), keypoints_of(copy)
    inliers, found = affine_between(first, second)
    assert inliers >= 12 and found is not None
    inside = np.float32([[width * x, height * y] for x in (0.4, 0.6) for y in (0.4, 0.6)])
    by_true, by_found = (inside @ m[:, :2].T + m[:, 2] for m in (true, found))
    assert np.abs(by_true - by_found).max() < 4


@pytest.mark.parametrize(
    "linear", [[[-1, 0], [0, 1]], [[0.05, 0], [0, 0.05]], [[9, 0], [0, 9]], [[1, 0], [0, 0.2]], [[np.nan, 0], [0, 1]]]
)
def test_degenerate_maps(linear: list[list[float]]) -> None:
    assert geometry._is_degenerate(np.column_stack([np.array(linear, np.float64), [0, 0]]))
    assert not geometry._is_degenerate(np.array([[0, -0.5, 3], [0.6, 0, 1.0]]))


def test_repeated_places_count_once() -> None:
    assert geometry._places(np.float32([[2, 2], [2.2, 2.1], [9, 9]])) == 2


def test_agreement_of_equal_inverted_and_flat_pictures() -> None:
    gray = cv2.cvtColor(scene(3), cv2.COLOR_RGB2GRAY)
    same = np.eye(2, 3)
    assert agreement_under(gray, gray, same) > 0.95
    assert agreement_under(gray, (gray // 2 + 60).astype(np.uint8), same) > 0.95
    assert agreement_under(gray, 255 - gray, same) < -0.9
    flat = np.full_like(gray, 70)
    assert agreement_under(gray, flat, same) == pytest.approx(0, abs=0.05)
    assert agreement_under(flat, flat, same) == 0.0
    assert agreement_under(gray, gray, np.array([[1, 0, 1000], [0, 1, 0.0]])) == 0.0


def test_settings_out_of_range(tmp_path: Path) -> None:
    photos = collection(tmp_path, [scene(1)])
    with pytest.raises(UserError, match=r"^min_inliers 3: must be at least 4"):
        checked(photos, min_inliers=3)
    for name, value in (("detector", "surf"), ("min_agreement", 1.1), ("cache_mb", 0)):
        with pytest.raises(ValueError, match=f"^{name} {value}: must be"):
            checked(photos, **{name: value})
    assert len(checked(photos).inliers) == 0


@pytest.mark.slow
def test_real_copies_and_look_alikes() -> None:
    """Edited copies against two cameras' photos of one vehicle, which 12 inliers alone do not tell apart."""
    copies, vehicles = reference_data("near-duplicates"), reference_data("vehicle-reid")
    if copies is None or vehicles is None:
        pytest.skip("the reference photos are not there")
    with (copies / "groups.csv").open(encoding="utf-8", newline="") as file:
        listed = [row for row in csv.DictReader(file) if row["group"] == "pdq_bridge_mods"]
    photos = photos_in(copies, [row["file"] for row in listed])
    rows = list(itertools.combinations(range(len(photos)), 2))
    assert checked(photos, *rows).confirmed.all() and len(rows) == 66

    folders = sorted(path.name for path in vehicles.iterdir() if path.is_dir())[::8]
    photos = photos_in(vehicles, [f"{name}/cam{camera}.jpg" for name in folders for camera in (1, 2)])
    verdicts = checked(photos, *((i, i + 1) for i in range(0, len(photos), 2)))
    assert len(folders) == 64
    assert (verdicts.inliers >= 12).mean() > 0.8
    assert verdicts.confirmed.sum() <= 2
