"""What a file says of its image: every field of the header, for every format and for hostile files."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.data.image.decode import Header, decode, decode_with_header, decode_with_size
from siamclip.errors import ImageError
from tests.hostile import HEIGHT, READABLE, WIDTH, encoded, png_chunk, png_of_rows, smooth_rgb, with_orientation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


def header(format_: str, mode: str, **other: object) -> Header:
    plain: dict = {"frames": 1, "orientation": 1, "has_alpha": False, "has_profile": False, "bits": 8}
    return Header(**({"format": format_, "mode": mode, "width": WIDTH, "height": HEIGHT} | plain | other))


HEADERS = {
    "CMYK JPEG": header("JPEG", "CMYK"),
    "gray JPEG": header("JPEG", "L"),
    "16-bit gray PNG": header("PNG", "I;16", bits=16),
    "16-bit gray TIFF": header("TIFF", "I;16", bits=16),
    "16-bit big-endian TIFF": header("TIFF", "I;16B", bits=16),
    "16-bit RGB PNG": header("PNG", "RGB", bits=16),
    "float TIFF": header("TIFF", "F", bits=32),
    "LAB TIFF": header("TIFF", "LAB", has_profile=True),
    "palette PNG": header("PNG", "P"),
    "bilevel PNG": header("PNG", "1", bits=1),
    "alpha PNG": header("PNG", "RGBA", has_alpha=True),
    "gray alpha PNG": header("PNG", "LA", has_alpha=True),
    "animated GIF": header("GIF", "P", frames=3),
    "animated WebP": header("WEBP", "RGB", frames=3),
    "animated PNG": header("PNG", "RGB", frames=3),
    "rotated JPEG": header("JPEG", "RGB", width=HEIGHT, height=WIDTH, orientation=6),
}


@pytest.mark.parametrize("name", READABLE)
def test_header(name: str, tmp_path: Path) -> None:
    path = READABLE[name](tmp_path)
    image, found = decode_with_header(path)
    assert found == HEADERS.get(name, header("JPEG", "RGB"))
    np.testing.assert_array_equal(image, decode(path))
    assert decode_with_header(path, min_side=8)[1] == found


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_tells_the_orientation(orientation: int, format_: str) -> None:
    header = decode_with_header(with_orientation(orientation, format_))[1]
    assert header.orientation == orientation
    assert (header.width, header.height) == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_header_tells_of_a_profile(format_: str) -> None:
    assert decode_with_header(encoded(smooth_rgb(), format_, icc_profile=b"a profile"))[1].has_profile
    assert not decode_with_header(encoded(smooth_rgb(), format_))[1].has_profile


def test_damaged_png_profile_is_none() -> None:
    bad = png_chunk(b"iCCP", b"name\0\0not deflated")
    data = png_of_rows(2, 8, 0, [bytes([1, 2])], bad)
    assert not decode_with_header(data)[1].has_profile


@pytest.mark.parametrize("big", [False, True])
def test_pages_of_a_tiff(big: bool) -> None:
    pages = [Image.new("L", (5, 4)), Image.new("RGB", (3, 9))]
    data = encoded(smooth_rgb(), "TIFF", save_all=True, append_images=pages, big_tiff=big)
    image, found = decode_with_header(data)
    assert found == header("TIFF", "RGB", frames=3)
    np.testing.assert_array_equal(image, smooth_rgb())


def _tiff_chain(next_page: Callable[[int, int], int], pages: int, order: str = "<") -> bytes:
    """One 2 x 2 grey image in `pages` directories; `next_page(offset, size)` gives where the next one lies."""
    tags = [(256, 3, 2), (257, 3, 2), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 3, 2), (279, 4, 4)]
    size = 2 + 12 * len(tags) + 4
    left = "H2x" if order == ">" else "I"  # a 16-bit value stands in the first bytes of its field
    data = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 12) + b"\1\2\3\4"
    for page in range(pages):
        offset = 12 + page * size
        entries = (struct.pack(order + "HHI" + (left if k == 3 else "I"), t, k, 1, v) for t, k, v in tags)
        following = 0 if page == pages - 1 else offset + size
        data += struct.pack(order + "H", len(tags)) + b"".join(entries)
        data += struct.pack(order + "I", next_page(offset, following))
    return data


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_of_a_hostile_tiff(order: str) -> None:
    def frames(next_page: Callable[[int, int], int], pages: int = 1) -> int:
        return decode_with_header(_tiff_chain(next_page, pages, order))[1].frames

    assert frames(lambda offset, following: following, pages=2000) == 2000
    assert frames(lambda offset, following: offset) == 1  # its own successor
    assert frames(lambda offset, following: following or 12, pages=7) == 7  # a loop over all
    assert frames(lambda offset, following: 4_000_000_000) == 1  # beyond the end


def test_a_damaged_second_frame_costs_nothing(tmp_path: Path) -> None:
    data = READABLE["animated GIF"](tmp_path).read_bytes()
    first = decode(data)
    for cut in range(len(data) - 400, len(data), 7):
        image, header = decode_with_header(data[:cut])
        np.testing.assert_array_equal(image, first)
        assert 1 <= header.frames <= 3


def test_frames_of_a_claim_stay_in_range() -> None:
    claim = png_chunk(b"acTL", struct.pack(">II", 2**31, 0))
    frame = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2, 1, 0, 0, 1, 1, 0, 0))
    assert decode_with_header(png_of_rows(2, 8, 0, [bytes([1, 2])], claim, frame))[1].frames < 2**31


def test_plain_decoding_counts_no_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = READABLE["animated GIF"](tmp_path)

    def refuse(*_: object) -> int:
        raise AssertionError

    monkeypatch.setattr("siamclip.data.image.decode._frames", refuse)
    decode(path)
    decode_with_size(path)
    with pytest.raises(ImageError):
        decode_with_header(path)
