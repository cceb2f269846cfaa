"""Grey pixels alone: the same header and errors as in colour, and the luma that a large JPEG stores."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.data.image import decode as image
from siamclip.data.image.decode import decode, decode_luma_with_header, decode_with_header
from siamclip.errors import ImageError
from tests.hostile import READABLE, UNREADABLE, encoded, png_chunk, png_of_rows, smooth_rgb

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

SIDE = 641  # above LUMA_PIXELS


def converted(source: Path | bytes) -> np.ndarray:
    """Decoded in full, then made grey by Pillow."""
    return np.asarray(Image.fromarray(decode(source)).convert("L"))


def stored_luma(data: bytes) -> np.ndarray:
    """The first channel of the YCbCr pixels that libjpeg holds before it makes RGB of them."""
    opened = Image.open(io.BytesIO(data))
    opened.draft("YCbCr", None)
    assert opened.mode == "YCbCr"
    return np.asarray(opened.getchannel("Y"))


@pytest.fixture(params=["small", "any size"])
def any_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The hostile files are small; both ways are gone with them."""
    if request.param == "any size":
        monkeypatch.setattr(image, "LUMA_PIXELS", 0)
    return request.param == "any size"


@pytest.mark.parametrize("name", READABLE)
def test_readable_files(name: str, any_size: bool, tmp_path: Path) -> None:
    path = READABLE[name](tmp_path)
    gray, header = decode_luma_with_header(path)
    rgb, expected = decode_with_header(path)
    assert header == expected
    assert gray.dtype == np.uint8 and gray.shape == rgb.shape[:2]
    assert gray.flags.writeable and gray.flags.c_contiguous
    if any_size and header.format == "JPEG" and header.mode == "RGB":
        assert np.abs(gray.astype(int) - converted(path)).max() <= 3
    else:
        np.testing.assert_array_equal(gray, converted(path))
    np.testing.assert_array_equal(gray, decode_luma_with_header(path.read_bytes())[0])


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_files(name: str, any_size: bool, tmp_path: Path) -> None:
    path = UNREADABLE[name](tmp_path)
    with pytest.raises(ImageError) as expected:
        decode_with_header(path)
    with pytest.raises(ImageError) as caught:
        decode_luma_with_header(path)
    assert (caught.value.reason, caught.value.source) == (expected.value.reason, expected.value.source)


def test_cut_anywhere_a_jpeg_has_the_same_fate() -> None:
    data = encoded(smooth_rgb(SIDE, SIDE), "JPEG")
    assert len(data) > 2000
    for cut in [*range(0, 700, 23), *range(700, len(data), 997), len(data) - 3, len(data) - 2, len(data) - 1]:
        fates = []
        for read in (decode_with_header, decode_luma_with_header):
            try:
                fates.append(str(read(data[:cut])[1]))
            except ImageError as error:
                fates.append(error.reason)
        assert fates[0] == fates[1], cut


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
def test_a_large_jpeg_gives_its_stored_luma_upright(orientation: int, options: dict[str, object]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth_rgb(SIDE + 50, SIDE), "JPEG", exif=exif, **options)
    gray, header = decode_luma_with_header(data)
    assert header == decode_with_header(data)[1] and header.mode == "RGB"
    turned = {
        1: lambda y: y,
        2: np.fliplr,
        3: lambda y: np.rot90(y, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda y: np.rot90(y, -1),
        7: lambda y: np.rot90(y, 2).T,
        8: np.rot90,
    }
    np.testing.assert_array_equal(gray, turned[orientation](stored_luma(data)))


def test_only_from_a_number_of_pixels_on() -> None:
    assert image.LUMA_PIXELS == 640 * 640
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    large, small = encoded(noise, "JPEG"), encoded(noise[:, :-1], "JPEG")
    np.testing.assert_array_equal(decode_luma_with_header(large)[0], stored_luma(large))
    assert (decode_luma_with_header(large)[0] != converted(large)).any()  # else this test could not fail
    np.testing.assert_array_equal(decode_luma_with_header(small)[0], converted(small))


def with_components(names: bytes, transform: int | None) -> bytes:
    """A JPEG without a JFIF marker, with an Adobe one if `transform` is given, and with its components renamed.

    libjpeg takes the components for R, G and B where the transform is 0, or by their names where there is no marker.
    """
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    data = encoded(noise, "JPEG", subsampling=0)
    assert data[2:4] == b"\xff\xe0"
    adobe = b"" if transform is None else b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0" + bytes([transform])
    changed = bytearray(b"\xff\xd8" + adobe + data[4 + int.from_bytes(data[4:6], "big") :])
    frame, scan = changed.index(b"\xff\xc0"), changed.index(b"\xff\xda")
    for i, name in enumerate(names):
        changed[frame + 10 + 3 * i] = changed[scan + 5 + 2 * i] = name
    return bytes(changed)


@pytest.mark.parametrize(("names", "transform"), [(b"\1\2\3", 1), (b"\1\2\3", None), (b"RGB", 1), (b"\0\1\2", None)])
def test_luma_whatever_the_components_are_called(names: bytes, transform: int | None) -> None:
    data = with_components(names, transform)
    np.testing.assert_array_equal(decode_luma_with_header(data)[0], stored_luma(data))


@pytest.mark.parametrize(("names", "transform"), [(b"\1\2\3", 0), (b"RGB", None)])
def test_a_jpeg_of_red_green_and_blue_stores_no_luma(names: bytes, transform: int | None) -> None:
    data = with_components(names, transform)
    np.testing.assert_array_equal(decode_luma_with_header(data)[0], converted(data))
    assert (decode(data)[:, :, 0] != converted(data)).any()  # else the first component would pass for it


def test_cmyk_stores_no_luma() -> None:
    data = encoded(Image.fromarray(smooth_rgb(SIDE, SIDE)).convert("CMYK"), "JPEG")
    np.testing.assert_array_equal(decode_luma_with_header(data)[0], converted(data))


def test_a_transparent_gray_level_is_white() -> None:
    data = png_of_rows(2, 8, 0, [bytes([7, 5])], png_chunk(b"tRNS", (7).to_bytes(2, "big")))
    assert decode_luma_with_header(data)[0].tolist() == [[255, 5]]


def test_the_pixel_limit_holds() -> None:
    data = encoded(smooth_rgb(SIDE, SIDE), "JPEG")
    assert decode_luma_with_header(data, max_pixels=SIDE * SIDE)[0].shape == (SIDE, SIDE)
    with pytest.raises(ImageError, match="over the limit"):
        decode_luma_with_header(data, max_pixels=SIDE * SIDE - 1)
