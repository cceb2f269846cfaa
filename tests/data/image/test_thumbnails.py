"""Thumbnails: their size, their order, the budget, and the reason where there is none."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.data.image.thumbnails import data_uri, thumbnail, thumbnails
from siamclip.errors import ImageError
from tests.hostile import encoded
from tests.photo_files import put


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Six photos of different colours, a broken file in their midst."""
    for i in range(6):
        content = encoded(np.full((90, 160, 3), (40 * i, 20, 200 - 40 * i), np.uint8), "PNG")
        put(tmp_path, f"{i}.png", content=content)
    put(tmp_path, "2 broken.png", content=b"text")
    return sorted(tmp_path.iterdir())


def test_the_sides_keep_their_ratio_and_the_photo_its_colours(files: list[Path]) -> None:
    with Image.open(io.BytesIO(thumbnail(files[1], 32))) as made:
        assert (made.format, made.size) == ("JPEG", (32, 18))
        np.testing.assert_allclose(np.asarray(made, float).mean((0, 1)), (40, 20, 160), atol=4)
    with pytest.raises(ImageError, match="not a JPEG"):
        thumbnail(files[2])


@pytest.mark.parametrize("threads", [1, 3])
def test_one_entry_a_file_in_its_place(files: list[Path], threads: int) -> None:
    told: list[tuple[int, int]] = []
    found = thumbnails(files, side=32, threads=threads, progress=lambda done, total: told.append((done, total)))
    assert found.images == [None if "broken" in file.name else thumbnail(file, 32) for file in files]
    assert [bool(error) for error in found.errors] == ["broken" in file.name for file in files]
    assert found.embedded == 6
    assert told == [(7, 7)]


def test_beyond_the_budget_there_is_none_however_small(files: list[Path]) -> None:
    sizes = [len(thumbnail(file, 32)) for file in files[:2]]
    found = thumbnails(files, sum(sizes) + 10, side=32)
    assert [image is not None for image in found.images] == [True, True, False, False, False, False, False]
    assert found.embedded == 2


def test_a_data_uri_holds_the_bytes() -> None:
    kind, _, text = data_uri(b"\0\xff", "image/jpeg").partition(",")
    assert (kind, base64.b64decode(text)) == ("data:image/jpeg;base64", b"\0\xff")
