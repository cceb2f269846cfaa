"""Which photos are found, which make up a step, and what the network sees of them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamclip.diffusion.training.photos import as_pixels, batches, find_photos
from siamclip.errors import UserError
from siamclip.training.run.state import photos_fingerprint
from tests.diffusion.training.tiny_ddpm import collection

COUNT, SIZE, SEED = st.integers(1, 40), st.integers(1, 17), st.integers(0, 2**32 - 1)


@given(COUNT, SIZE, SEED)
def test_each_epoch_has_each_photo_once(photos: int, size: int, seed: int) -> None:
    steps = -(-3 * photos // size)
    taken = np.concatenate(list(batches(photos, size, seed, 0, steps)))
    assert len(taken) == steps * size
    for epoch in range(3):
        assert sorted(taken[epoch * photos : (epoch + 1) * photos]) == list(range(photos))


@given(COUNT, SIZE, SEED, st.integers(0, 30))
def test_a_training_that_goes_on_takes_what_it_would_have_taken(photos: int, size: int, seed: int, first: int) -> None:
    straight = itertools.islice(batches(photos, size, seed, 0, first + 3), first, None)
    for expected, found in zip(straight, batches(photos, size, seed, first, first + 3), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_epochs_and_seeds_differ() -> None:
    a, b = batches(100, 100, 0, 0, 2)
    (c,) = batches(100, 100, 1, 0, 1)
    assert (a != b).any()
    assert (a != c).any()


def test_pixels_as_the_naive_loop() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    pixels = as_pixels(photos, 3, flip=False)
    assert pixels.dtype == torch.float32
    assert pixels.is_contiguous(memory_format=torch.channels_last)
    for n, channel, y, x in np.ndindex(3, 3, 4, 4):  # the first photo stands in for the third, which was unreadable
        assert pixels[n, channel, y, x] == pytest.approx(photos[n % 2, y, x, channel] / 127.5 - 1, abs=1e-6)
    assert as_pixels(np.full((1, 4, 4, 3), 255, np.uint8), 1, flip=False).max() == 1
    assert as_pixels(np.zeros((1, 4, 4, 3), np.uint8), 1, flip=False).min() == -1


def test_half_of_the_photos_are_mirrored() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), dtype=np.uint8)
    plain = as_pixels(photo, 1, flip=False)[0]
    torch.manual_seed(0)
    flipped = as_pixels(photo, 400, flip=True)
    as_it_is = (flipped == plain).flatten(1).all(1)
    assert ((flipped == plain.flip(2)).flatten(1).all(1) | as_it_is).all()
    assert 150 < as_it_is.sum() < 250  # 5 standard deviations


def test_photos_of_any_depth(tmp_path: Path) -> None:
    root = collection(tmp_path / "photos")
    (root / "京A0" / "deeper").mkdir()
    (root / "京A0" / "deeper" / "x.JPG").write_bytes(b"")
    (root / "notes.txt").write_text("no photo")
    assert len(find_photos(root, tmp_path / "out").files) == 13


def test_fingerprint(tmp_path: Path) -> None:
    root = collection(tmp_path / "photos")
    photos = find_photos(root, tmp_path / "out")
    assert photos.fingerprint == photos_fingerprint(root, [f.relative_to(root).as_posix() for f in photos.files])
    (root / "京A0" / "0.png").write_bytes(b"another size")
    assert find_photos(root, tmp_path / "out").fingerprint != photos.fingerprint


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_nothing_is_a_photo_that_cannot_be_read(tmp_path: Path) -> None:
    root = collection(tmp_path / "photos")
    (root / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    photos = find_photos(root, tmp_path / "out")
    assert len(photos.files) == 13
    assert photos.fingerprint


@pytest.mark.parametrize("out", ["photos/out", "photos", "."])
def test_output_inside_the_photos_or_around_them(out: str, tmp_path: Path) -> None:
    root = collection(tmp_path / "photos")
    with pytest.raises(UserError, match=r"out .*: must not be inside data"):
        find_photos(root, tmp_path / out)


def test_no_photos(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(b"")
    for name, message in (("empty", "holds no photo"), ("nowhere", "is no folder"), ("file.jpg", "is no folder")):
        with pytest.raises(UserError, match=f"data .*{name}: {message}"):
            find_photos(tmp_path / name, tmp_path / "out")
