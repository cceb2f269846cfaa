"""The bits are imagehash's: on noise, flat images, ties, odd sizes and real photos."""

from __future__ import annotations

import imagehash
import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.duplicates.hashing import haar
from siamclip.cleaning.duplicates.hashing.hashes import (
    ORIENTATIONS,
    hexadecimal,
    orientations,
    packed,
    perceptual,
    perceptual16,
)
from siamclip.data.image.decode import decode, decode_with_header
from siamclip.errors import ImageError
from tests.hostile import READABLE, with_orientation
from tests.reference_data import reference_data

PEERS = {
    "phash": imagehash.phash,
    "ahash": imagehash.average_hash,
    "dhash": imagehash.dhash,
    "whash": imagehash.whash,
}
SIZES = [(1, 1), (2, 2), (1, 9), (7, 300), (300, 7), (8, 8), (15, 17), (31, 33), (64, 64), (93, 137), (257, 130)]


def scored(rgb: np.ndarray) -> Decoded:
    return Decoded(rgb, None)  # type: ignore[arg-type]  # the hashes ask for pixels alone


def assert_as_imagehash(rgb: np.ndarray) -> None:
    image, decoded = Image.fromarray(rgb), scored(rgb)
    found = {**perceptual(decoded), **perceptual16(decoded)}
    for name, peer in PEERS.items():
        for side in (8, 16):
            assert hexadecimal(found[f"{name}{side}"]) == str(peer(image, hash_size=side)), (name, side, rgb.shape)


def gray(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("size", SIZES)
def test_the_bits_of_imagehash(size: tuple[int, int]) -> None:
    width, height = size
    rng = np.random.default_rng(width * 1000 + height)
    assert_as_imagehash(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    assert_as_imagehash(gray(rng.choice([0, 255], (height, width))))
    assert_as_imagehash(gray(np.tile(np.linspace(0, 255, width), (height, 1))))
    for level in (0, 1, 128, 254, 255):
        assert_as_imagehash(np.full((height, width, 3), level, np.uint8))


def test_ties_at_the_median_have_imagehash_s_rounding_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    tied = []
    repeated = haar._as_rounded
    monkeypatch.setattr(haar, "_as_rounded", lambda *given: tied.append(1) or repeated(*given))
    rng = np.random.default_rng(0)
    for block in (1, 2, 8, 16):
        for levels in (2, 3, 5):
            blocks = rng.integers(0, levels, (8, 8)) * (255 // levels)
            # Equal sums of different pixels: the errors differ by block.
            shuffled = np.kron(blocks, np.ones((block, block))) + np.tile(np.arange(8 * block) % 2, (8 * block, 1))
            for row in shuffled:
                rng.shuffle(row.reshape(8, block), axis=1)
            assert_as_imagehash(gray(shuffled))
    assert len(tied) > 12


@pytest.mark.parametrize("name", ["vehicle-reid", "groceries", "near-duplicates"])
def test_the_bits_of_real_photos(name: str) -> None:
    folder = reference_data(name)
    if folder is None:
        pytest.skip(f"{name} is not here")
    files = sorted(folder.rglob("*.jpg"))
    read = 0
    for file in files[:: max(1, len(files) // 12)]:
        try:
            rgb = decode(file)
        except ImageError:
            continue
        assert_as_imagehash(rgb)
        read += 1
    assert read >= 10


def test_first_bit_is_the_most_significant_of_the_first_word() -> None:
    bits = np.zeros((16, 16), bool)
    bits[0, 0] = bits[4, 0] = bits[15, 15] = True
    assert packed(bits).tolist() == [1 << 63, 1 << 63, 0, 1]
    assert str(imagehash.ImageHash(bits)) == hexadecimal(packed(bits))


def photo_like(width: int, height: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def test_orientations_are_the_hashes_of_turned_photos_within_two_bits() -> None:
    equal, total = 0, 0
    for seed, size in enumerate([(200, 133), (133, 200), (348, 348), (640, 480), (90, 31)]):
        rgb = photo_like(*size, seed)
        found, upright = orientations(scored(rgb)), perceptual(scored(rgb))
        for name, peer in PEERS.items():
            hashes = found[f"{name}8_oriented"]
            assert hashes.shape == (8,) and hashes.dtype == np.uint64
            assert hashes[0] == upright[f"{name}8"]
            for turn, got in zip(ORIENTATIONS, hashes, strict=True):
                image = Image.fromarray(rgb) if turn is None else Image.fromarray(rgb).transpose(turn)
                distance = int(np.bitwise_count(got ^ np.uint64(int(str(peer(image)), 16))))
                assert distance <= 2, (name, turn)
                equal, total = equal + (distance == 0), total + 1
    assert len(set(ORIENTATIONS)) == 8
    assert equal / total > 0.9


def test_flat_images_have_no_contrast_and_photos_have_some() -> None:
    for level in (0, 128, 255):
        assert perceptual(scored(np.full((50, 70, 3), level, np.uint8)))["hash_contrast"] == 0
    # 32 columns at 0 and 255 by halves: the deviation of two equally frequent levels is half their difference.
    halves = gray(np.tile(np.repeat([0, 255], 320), (640, 1)))
    assert perceptual(scored(halves))["hash_contrast"] == pytest.approx(127.5, rel=0.02)


@pytest.mark.parametrize("kind", READABLE)
def test_every_readable_kind_of_file_has_hashes(kind: str, tmp_path) -> None:
    decoded = Decoded(*decode_with_header(READABLE[kind](tmp_path)))
    assert_as_imagehash(decoded.rgb)


def test_a_copy_that_is_stored_turned_has_the_same_hash() -> None:
    rgb = photo_like(200, 133, 5)
    upright = perceptual(Decoded(*decode_with_header(with_orientation(1, image=rgb))))
    sideways = np.ascontiguousarray(np.rot90(rgb))  # orientation 6 says: turn it by 90 degrees clockwise
    turned = perceptual(Decoded(*decode_with_header(with_orientation(6, image=sideways))))
    for name in PEERS:
        assert int(np.bitwise_count(upright[f"{name}8"] ^ turned[f"{name}8"])) <= 1, name
