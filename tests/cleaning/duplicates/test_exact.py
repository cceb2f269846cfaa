"""The same bytes, the same pixels: shape counts, unreadable files do not match, crowds stay linear."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.contracts import CopyPairs
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.duplicates.exact import pixel_hash, same_bytes, same_pixels
from siamclip.cleaning.duplicates.groups.grouping import group
from siamclip.cleaning.duplicates.groups.keepers import rank
from siamclip.data.image.decode import decode_with_header
from tests.cleaning.photo_tables import permuted, photos_of
from tests.hostile import smooth_rgb, with_orientation


def hash_of(rgb: np.ndarray) -> bytes:
    return pixel_hash(Decoded(rgb, None))["pixel_hash"]  # type: ignore[arg-type]  # asks for pixels alone


def pairs(found: CopyPairs) -> set[tuple[int, int]]:
    assert (found.distance == 0).all() and (found.first < found.second).all()
    return set(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_flat_images_of_other_shape_or_colour_differ() -> None:
    images = [
        np.zeros((100, 200, 3), np.uint8),
        np.zeros((200, 100, 3), np.uint8),
        np.full((100, 200, 3), 128, np.uint8),
        np.full((100, 200, 3), 255, np.uint8),
        np.zeros((50, 400, 3), np.uint8),
    ]
    assert len({hash_of(image) for image in images}) == len(images)
    assert hash_of(images[0]) == hash_of(images[0].copy()) == hash_of(np.zeros((200, 200, 3), np.uint8)[::2])


def test_the_same_sum_of_pixels_is_not_the_same_photo() -> None:
    rgb = smooth_rgb()
    assert hash_of(rgb) != hash_of(rgb[::-1])


def test_the_same_pixels_in_other_formats_and_stored_turned(tmp_path: Path) -> None:
    for name in ("a.png", "b.BMP", "c.tiff"):
        Image.fromarray(smooth_rgb()).save(tmp_path / name)
    turned = np.ascontiguousarray(np.rot90(smooth_rgb()))
    (tmp_path / "d.png").write_bytes(with_orientation(6, "PNG", turned))
    (tmp_path / "e.png").write_bytes(with_orientation(1, "PNG", turned))
    files = sorted(tmp_path.iterdir())
    hashes = [pixel_hash(Decoded(*decode_with_header(file)))["pixel_hash"] for file in files]
    found = same_pixels(photos_of(*(file.name for file in files), pixel_hash=np.array(hashes, "S32")))
    assert found.method == "pixels"
    assert pairs(found) == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


def test_unreadable_files_and_those_without_a_hash_match_nothing() -> None:
    paths = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    photos = photos_of(*paths, content=["1"] * 4, errors=["truncated", "truncated", "", ""])
    assert pairs(same_bytes(photos)) == {(2, 3)}
    assert not len(same_bytes(photos_of(*paths, content=[""] * 4)))
    assert not len(same_pixels(photos_of(*paths, pixel_hash=np.array([b""] * 4, "S32"))))


def test_copies_across_folders_and_an_archive_that_is_not_compared_with_itself() -> None:
    photos = photos_of("p/1", "p/2", "q/1", "q/2", content=["1", "2", "1", "1"], archived=[False, False, True, True])
    assert same_bytes(photos).method == "exact"
    assert pairs(same_bytes(photos)) == {(0, 2), (0, 3)}


@pytest.mark.parametrize("labels", [1, 3])
def test_ten_thousand_equal_files_make_few_pairs_and_one_keeper_an_identity(labels: int) -> None:
    photos = photos_of(*(f"p{i % labels}/{i:05}" for i in range(10_000)), content=["1"] * 10_000)
    found = same_bytes(photos)
    assert 9_999 <= len(found) < 20_000
    within = photos.labels[found.first] == photos.labels[found.second]  # the others are label conflicts
    found = CopyPairs("exact", found.first[within], found.second[within], found.distance[within])
    keepers = group([found], rank(photos))[1]
    assert len(set(keepers.tolist())) == labels and (keepers >= 0).all()


def test_the_order_of_the_rows_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    content = [str(i) for i in rng.integers(0, 8, 300)]
    photos = photos_of(*(f"p{i % 4}/{i:03}" for i in range(300)), content=content)
    to = rng.permutation(300)
    again = same_bytes(permuted(photos, to))
    back = {tuple(sorted((int(to[i]), int(to[j])))) for i, j in pairs(again)}
    assert back == pairs(same_bytes(photos))


def test_an_empty_collection() -> None:
    assert len(same_bytes(photos_of())) == 0
