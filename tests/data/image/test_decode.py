from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageOps

from siamclip.data.image.decode import IMAGE_EXTENSIONS, content_hash, decode, decode_with_size, probe, to_rgb
from siamclip.errors import ImageError
from tests.hostile import (
    HEIGHT,
    READABLE,
    UNREADABLE,
    WIDTH,
    damaged_exif,
    encoded,
    png_chunk,
    png_file,
    png_of_rows,
    smooth_rgb,
    with_orientation,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

rgb_arrays = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_is_an_image_error_with_reason_and_source(name: str, tmp_path: Path) -> None:
    path = UNREADABLE[name](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            decode(path)
    assert caught.value.reason
    assert "\n" not in str(caught.value)
    assert caught.value.source == str(path)


@pytest.mark.parametrize("name", READABLE)
def test_odd_but_readable(name: str, tmp_path: Path) -> None:
    path = READABLE[name](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # as import sets, and pytest resets
        image = decode(path)
    assert image.dtype == np.uint8
    assert image.shape == ((WIDTH, HEIGHT, 3) if name == "rotated JPEG" else (HEIGHT, WIDTH, 3))
    assert image.flags.writeable and image.flags.c_contiguous
    np.testing.assert_array_equal(image, decode(path.read_bytes()))


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_plain_rgb_equals_pillow(format_: str) -> None:
    data = encoded(smooth_rgb(301, 199), format_)
    np.testing.assert_array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("CMYK JPEG", 8),
        ("LAB TIFF", 16),  # 8-bit LAB itself is that coarse where colours are saturated
        ("16-bit RGB PNG", 0),
        ("animated WebP", 0),
        ("animated PNG", 0),
    ],
)
def test_colours_survive_conversion(name: str, levels: int, tmp_path: Path) -> None:
    difference = np.abs(decode(READABLE[name](tmp_path)).astype(int) - smooth_rgb())
    assert difference.max() <= levels


def test_first_frame_of_a_gif(tmp_path: Path) -> None:
    difference = np.abs(decode(READABLE["animated GIF"](tmp_path)).astype(int) - smooth_rgb())
    assert difference.mean() < 12  # a palette of 256 colours; the second frame is the negative


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_equals_exif_transpose(orientation: int, format_: str) -> None:
    data = with_orientation(orientation, format_)
    image, (width, height) = decode_with_size(data)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(image, np.asarray(expected))
    assert (width, height) == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientation_is_shown_as_stored(orientation: int) -> None:
    np.testing.assert_array_equal(decode(with_orientation(orientation)), decode(with_orientation(1)))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("min_side", "scale"), [(None, 1), (160, 1), (100, 1), (80, 2), (41, 2), (40, 4), (20, 8), (1, 8)]
)
def test_reduced_scale_keeps_both_sides(min_side: int | None, scale: int, orientation: int) -> None:
    data = with_orientation(orientation, image=smooth_rgb(241, 161))
    image, full_size = decode_with_size(data, min_side)
    full = decode(data)
    assert full_size == (full.shape[1], full.shape[0])
    assert image.shape == (-(-full.shape[0] // scale), -(-full.shape[1] // scale), 3)
    assert min(image.shape[:2]) >= (min_side or 1)
    shrunk = np.asarray(Image.fromarray(full).resize(image.shape[1::-1], Image.Resampling.BOX))
    assert np.abs(image.astype(int) - shrunk).max() <= 8


@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_min_side_never_enlarges(format_: str) -> None:
    assert decode(encoded(smooth_rgb(), format_), min_side=1000).shape == (HEIGHT, WIDTH, 3)


def test_min_side_below_one_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="min_side"):
        decode(encoded(smooth_rgb(), "JPEG"), min_side=0)


@pytest.mark.parametrize("encode", [lambda ramp: encoded(ramp, "PNG"), lambda ramp: encoded(ramp, "TIFF")])
@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_ramp_is_scaled_and_not_clipped(encode, order: str) -> None:
    ramp = np.arange(65536, dtype=order).reshape(256, 256)
    gray = decode(encode(ramp))[:, :, 0].ravel()
    np.testing.assert_array_equal(gray, np.repeat(np.arange(256), 256))


def test_12_bit_tiff_uses_the_whole_range() -> None:
    samples = np.array([0, 2048, 4095, 4095], dtype=int)
    packed = int("".join(f"{sample:012b}" for sample in samples), 2).to_bytes(6, "big")
    tags = [(256, 3, 4), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 122), (277, 3, 1)]
    tags += [(278, 3, 1), (279, 4, len(packed))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    data += bytes(122 - len(data)) + packed
    np.testing.assert_array_equal(decode(data)[0, :, 0], samples >> 4)


def test_mode_i_holds_16_bits_and_nothing_wider() -> None:
    samples = np.array([[0, 32768, 65535]], np.int32)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(samples))[0, :, 1], [0, 128, 255])
    for bad in (-1, 65536):
        with pytest.raises(ImageError, match="32-bit"):
            to_rgb(Image.fromarray(np.array([[bad]], np.int32)))


def test_transparency_of_every_kind_becomes_white() -> None:
    gray_key = png_chunk(b"tRNS", (7).to_bytes(2, "big"))
    gray16_key = png_chunk(b"tRNS", (1000).to_bytes(2, "big"))
    rgb_key = png_chunk(b"tRNS", bytes([0, 1, 0, 2, 0, 3]))
    palette = (png_chunk(b"PLTE", bytes([9, 8, 7, 6, 5, 4])), png_chunk(b"tRNS", bytes([0])))
    files = {
        "RGBA": png_of_rows(2, 8, 6, [bytes([1, 2, 3, 0, 6, 5, 4, 255])]),
        "LA": png_of_rows(2, 8, 4, [bytes([1, 0, 5, 255])]),
        "L with key": png_of_rows(2, 8, 0, [bytes([7, 5])], gray_key),
        "I;16 with key": png_of_rows(2, 16, 0, [struct.pack(">HH", 1000, 1285)], gray16_key),
        "RGB with key": png_of_rows(2, 8, 2, [bytes([1, 2, 3, 6, 5, 4])], rgb_key),
        "P with tRNS": png_of_rows(2, 8, 3, [bytes([0, 1])], *palette),
    }
    for name, data in files.items():
        hidden, visible = decode(data)[0]
        assert hidden.tolist() == [255, 255, 255], name
        assert visible.tolist() in ([5, 5, 5], [6, 5, 4]), name


def test_half_transparent_black_is_grey() -> None:
    np.testing.assert_array_equal(decode(encoded(Image.new("RGBA", (1, 1), (0, 0, 0, 128)), "PNG")), 127)


def test_adobe_inverted_cmyk_is_not_inverted_again() -> None:
    red = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)
    assert b"Adobe" in red
    assert np.abs(decode(red).astype(int) - [255, 0, 0]).max() <= 4


def test_pixel_limit_counts_pixels_and_is_inclusive() -> None:
    data = encoded(smooth_rgb(), "PNG")
    assert decode(data, max_pixels=WIDTH * HEIGHT).shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match="over the limit"):
        decode(data, max_pixels=WIDTH * HEIGHT - 1)


@pytest.mark.parametrize("name", READABLE)
def test_probe_tells_the_size_from_the_header(name: str, tmp_path: Path) -> None:
    assert probe(READABLE[name](tmp_path)) == (WIDTH, HEIGHT)


BAD_HEADERS = [name for name in UNREADABLE if not name.startswith(("truncated", "corrupt"))]


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_probe_refuses_what_the_header_tells(name: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        probe(UNREADABLE[name](tmp_path))


def test_above_pillows_warning_limit_no_warning_leaks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="truncated"):  # within our limit, but without its pixels
            decode(png_file(10_000, 10_000, 1, 0, b""))


def test_a_plain_process_prints_no_warning(tmp_path: Path) -> None:
    (tmp_path / "exif.jpg").write_bytes(damaged_exif())
    (tmp_path / "large.tif").write_bytes(encoded(Image.new("1", (10_000, 9_000)), "TIFF")[:1000])
    code = """if True:
        from siamclip.data.image.decode import ImageError, decode
        print(decode("exif.jpg").shape)
        try:
            decode("large.tif")
        except ImageError as error:
            print(error)
    """
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith(f"({HEIGHT}, {WIDTH}, 3)\nlarge.tif: image file is truncated")


def test_file_type_is_taken_from_the_content(tmp_path: Path) -> None:
    path = tmp_path / "really_a.png"
    path.write_bytes(encoded(smooth_rgb(), "JPEG"))
    np.testing.assert_array_equal(decode(path), decode(path.read_bytes()))
    assert path.suffix in IMAGE_EXTENSIONS


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match="regular"):
        decode(tmp_path / "pipe.jpg")


def test_null_byte_in_a_path() -> None:
    with pytest.raises(ImageError, match="null"):
        decode("a\0b.jpg")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no Unix permissions here")
@pytest.mark.parametrize("read", [decode, content_hash])
def test_permission_denied(read, tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(smooth_rgb(), "JPEG"))
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)  # the superuser reads everything
        with pytest.raises(ImageError, match="Permission denied"):
            read(path)
    finally:
        os.seteuid(user)


def test_image_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(ImageError("the file is empty", "a\nb.jpg")))
    assert (error.reason, error.source) == ("the file is empty", "a\nb.jpg")
    assert str(error) == r"'a\nb.jpg': the file is empty"


def test_threads_give_what_one_thread_gives(tmp_path: Path) -> None:
    paths = [make(tmp_path) for make in READABLE.values()] * 4
    with ThreadPoolExecutor(8) as pool:
        for path, image in zip(paths, pool.map(lambda p: decode(p, 16), paths), strict=True):
            np.testing.assert_array_equal(image, decode(path, 16))


SIGNATURES = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"GIF89a", b"BM", b"II*\0"]


@given(st.binary(max_size=400), st.sampled_from(SIGNATURES))
def test_arbitrary_bytes_decode_or_raise_image_error(tail: bytes, signature: bytes) -> None:
    try:
        image = decode(signature + tail)
    except ImageError:
        return
    assert image.dtype == np.uint8 and image.ndim == 3


@given(rgb_arrays)
def test_to_rgb_laws(image: np.ndarray) -> None:
    assert to_rgb(image) is image
    np.testing.assert_array_equal(to_rgb(image.astype(np.uint16) * 257), image)
    np.testing.assert_array_equal(to_rgb(image / np.float32(255)), image)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(image)), image)
    opaque = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(to_rgb(opaque), image)
    opaque[:, :, 3] = 0
    np.testing.assert_array_equal(to_rgb(opaque), 255)
    for gray in (image[:, :, 0], image[:, :, :1]):
        np.testing.assert_array_equal(to_rgb(gray), np.repeat(image[:, :, :1], 3, axis=2))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.full((4, 4, 3), 1.5),
        np.full((4, 4, 3), -0.1),
        np.full((4, 4, 3), np.nan),
    ],
)
def test_to_rgb_refuses_what_has_no_known_meaning(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        to_rgb(array)


def test_to_rgb_of_a_rotated_pillow_image() -> None:
    data = with_orientation(6)
    np.testing.assert_array_equal(to_rgb(Image.open(io.BytesIO(data))), decode(data))


def test_content_hash(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")
    assert content_hash(path) == "99aa06d3014798d86001c324468d497f"  # published: XXH3-128 of nothing, seed 0
    path.write_bytes(bytes(3 << 20))
    streamed = content_hash(path)
    path.write_bytes(bytes((3 << 20) - 1) + b"\x01")
    assert content_hash(path) != streamed
    with pytest.raises(ImageError, match="directory"):
        content_hash(tmp_path)
