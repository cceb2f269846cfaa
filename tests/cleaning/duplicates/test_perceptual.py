"""Photos with near hashes are pairs; photos without structure, unreadable ones and an archive's own are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.duplicates import perceptual as methods
from siamclip.cleaning.duplicates.hashing.hashes import ORIENTATIONS, orientations, perceptual, perceptual16
from siamclip.data.image.decode import decode_with_header
from siamclip.errors import UserError
from tests.cleaning.photo_tables import permuted, photos_of

NAMES = ("phash", "ahash", "dhash", "whash")


def with_hashes(hashes: np.ndarray, column: str = "phash8", **given: Any) -> PhotoTable:
    paths = [f"p{i % 3}/{i:05}" for i in range(len(hashes))]
    contrast = given.pop("hash_contrast", np.full(len(hashes), 40, np.float32))
    return photos_of(*paths, **{column: hashes, "hash_contrast": contrast}, **given)


def pairs(found: CopyPairs) -> dict[tuple[int, int], float]:
    keys = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(set(keys)) == len(keys) and (found.first < found.second).all()
    return dict(zip(keys, found.distance.tolist(), strict=True))


def scanned(images: dict[str, np.ndarray], **given: Any) -> PhotoTable:
    columns: dict[str, list] = {}
    for rgb in images.values():
        decoded = Decoded(rgb, None)  # type: ignore[arg-type]  # the hashes ask for pixels alone
        for name, value in {**perceptual(decoded), **perceptual16(decoded), **orientations(decoded)}.items():
            columns.setdefault(name, []).append(value)
    return photos_of(*images, **{name: np.array(values) for name, values in columns.items()}, **given)


def photo(seed: int, width: int = 240, height: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (10, 15, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_pairs_are_those_of_a_loop(number: int, threshold: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**9, number).astype(np.uint64) << np.uint64(20)
    contrast = rng.choice([0.0, 1.9, 2.0, 50.0], number).astype(np.float32)
    errors = [str(rng.choice(["", "", "damaged"])) for _ in range(number)]
    archived = rng.random(number) < 0.3
    photos = with_hashes(hashes, hash_contrast=contrast, errors=errors, archived=archived)
    expected = {}
    for i in range(number):
        for j in range(i + 1, number):
            distance = int(hashes[i] ^ hashes[j]).bit_count()
            takes_part = all(hashes[k] != 0 and contrast[k] >= 2 and not errors[k] for k in (i, j))
            if takes_part and distance <= threshold and not (archived[i] and archived[j]):
                expected[i, j] = float(distance)
    assert pairs(methods.phash(photos, threshold=threshold)) == expected

    to = rng.permutation(number)
    again = pairs(methods.phash(permuted(photos, to), threshold=threshold))
    back = {tuple(sorted((int(to[i]), int(to[j])))): distance for (i, j), distance in again.items()}
    assert back == expected


@pytest.mark.parametrize("name", NAMES)
def test_each_method_reads_its_own_column(name: str) -> None:
    hashes = np.array([0b1011, 0b1010, 2**40 - 1], np.uint64)
    found = getattr(methods, name)(with_hashes(hashes, f"{name}8"))
    assert found.method == name and pairs(found) == {(0, 1): 1.0}
    wide = np.zeros((3, 4), np.uint64)
    wide[:, 3], wide[2, 0] = [7, 1, 1], 2**21 - 1
    found = getattr(methods, f"{name}16")(with_hashes(wide, f"{name}16"))
    assert found.method == f"{name}16" and pairs(found) == {(0, 1): 2.0}
    assert (1, 2) in pairs(getattr(methods, f"{name}16")(with_hashes(wide, f"{name}16"), threshold=21))


@pytest.mark.parametrize("name", [*NAMES, *(f"{name}16" for name in NAMES)])
def test_flat_photos_match_nothing_not_even_each_other(name: str) -> None:
    rng = np.random.default_rng(0)
    flat = {f"{level}": np.full((90, 120, 3), level, np.uint8) for level in (0, 1, 127, 128, 254, 255)}
    noisy = {f"noisy{i}": np.clip(rng.normal(90, 3, (300, 400, 3)), 0, 255).astype(np.uint8) for i in range(3)}
    photos = scanned({**flat, **noisy, "a": photo(1), "b": photo(1)})
    found = getattr(methods, name)(photos)
    assert pairs(found) == {(9, 10): 0.0}
    assert found.notes["photos without structure, left out"] == 9


def test_hashes_of_nothing_but_zeros_or_ones_match_nothing() -> None:
    ones = np.uint64(2**64 - 1)
    assert not pairs(methods.dhash(with_hashes(np.array([0, 0, ones, ones], np.uint64), "dhash8")))
    assert not pairs(methods.dhash16(with_hashes(np.array([[0] * 4] * 2 + [[ones] * 4] * 2, np.uint64), "dhash16")))
    half = np.array([[0, ones, 0, ones]] * 2, np.uint64)
    assert pairs(methods.dhash16(with_hashes(half, "dhash16"))) == {(0, 1): 0.0}


@pytest.mark.parametrize("name", NAMES)
def test_turned_and_mirrored_copies_only_when_asked_for(name: str) -> None:
    upright = Image.fromarray(photo(3))
    turned = [upright if turn is None else upright.transpose(turn) for turn in ORIENTATIONS]
    images = {f"{i}": np.asarray(image) for i, image in enumerate(turned)}
    photos = scanned({**images, "other": photo(4)})
    method = getattr(methods, name)
    every = {(i, j) for i in range(8) for j in range(i + 1, 8)}
    assert pairs(method(photos, orientations=True)).keys() == every
    assert pairs(method(photos)).keys() < every


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 25), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_orientations_are_those_of_a_loop_with_an_archive_too(number: int, threshold: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    turned = rng.integers(1, 2**12, (number, 8)).astype(np.uint64)
    if number > 4:
        turned[:2, 0] = turned[2:4, 0]  # one upright hash, other turned ones
        turned[4] = turned[3]
    archived = rng.random(number) < 0.4
    expected = {}
    for i in range(number):
        for j in range(i + 1, number):
            ways = [turned[i] ^ turned[j, 0], turned[j] ^ turned[i, 0]]
            distance = int(np.bitwise_count(np.concatenate(ways)).min())
            if distance <= threshold and not (archived[i] and archived[j]):
                expected[i, j] = float(distance)
    photos = with_hashes(turned, "phash8_oriented", archived=archived)
    assert pairs(methods.phash(photos, threshold=threshold, orientations=True)) == expected


def test_a_crowd_of_equal_and_near_photos_stays_linear() -> None:
    hashes = np.where(np.arange(6_000) % 2 == 0, 0xF0F0, 0xF0F1).astype(np.uint64)
    found = methods.phash(with_hashes(hashes))
    assert 5_999 <= len(found) < 60_000
    assert set(np.concatenate([found.first, found.second]).tolist()) == set(range(6_000))


def test_formats_and_edits_of_one_photo(tmp_path: Path) -> None:
    original = photo(7)
    Image.fromarray(original).save(tmp_path / "a.png")
    Image.fromarray(original).save(tmp_path / "b.bmp")
    Image.fromarray(original).save(tmp_path / "c.JpG", format="JPEG", quality=60)
    Image.fromarray(original).resize((120, 80)).save(tmp_path / "d.webp")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(original))).save(tmp_path / "e.jpg", exif=exif, quality=90)
    Image.fromarray(photo(8)).save(tmp_path / "f.png")
    images = {file.name: decode_with_header(file)[0] for file in sorted(tmp_path.iterdir())}
    every = {(i, j) for i in range(5) for j in range(i + 1, 5)}
    for name in ("phash", "ahash", "dhash", "whash"):
        assert pairs(getattr(methods, name)(scanned(images))).keys() == every


def test_settings_out_of_range_and_scans_without_the_column() -> None:
    photos = with_hashes(np.arange(1, 5, dtype=np.uint64))
    for threshold in (-1, 17):
        with pytest.raises(UserError, match=rf"^set phash.threshold={threshold}: must be from 0 to 16"):
            methods.phash(photos, threshold=threshold)
    with pytest.raises(UserError, match="ahash8"):
        methods.ahash(photos)
    with pytest.raises(UserError, match="scan again with orientations"):
        methods.phash(photos, orientations=True)
    with pytest.raises(UserError, match=r"^set phash16.threshold=65: must be from 0 to 64"):
        methods.phash16(photos, threshold=65)


def test_an_empty_collection() -> None:
    assert len(methods.phash(with_hashes(np.zeros(0, np.uint64)))) == 0
    assert len(methods.phash16(with_hashes(np.zeros((0, 4), np.uint64), "phash16"))) == 0
    empty = with_hashes(np.zeros((0, 8), np.uint64), "phash8_oriented")
    assert len(methods.phash(empty, orientations=True)) == 0
