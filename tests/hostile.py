"""Factories of image files as collections really hold them: damaged ones, odd ones, and oddly named ones.

Every factory takes a folder, writes one file (or folder) into it and returns the path. UNREADABLE must end in
an ImageError, READABLE in an (H, W, 3) array: tables, so that every stage can be run over all of them.
"""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

Factory = Callable[[Path], Path]

WIDTH, HEIGHT = 48, 32  # neither square nor a multiple of each other, so that swapped sides show


def smooth_rgb(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 (height, width, 3) of gradients that differ by channel and direction: gentle to lossy formats."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([0.1 + 0.8 * x, 0.2 + 0.6 * y, 0.9 - 0.4 * x - 0.4 * y], axis=-1)
    return np.rint(255 * rgb).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, format_, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(width: int, height: int, depth: int, color_type: int, idat: bytes, *extra: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write: 16-bit colour, and headers that lie."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
    chunks = (header, *extra, png_chunk(b"IDAT", idat), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_of_rows(width: int, depth: int, color_type: int, rows: Iterable[bytes], *extra: bytes) -> bytes:
    lines = list(rows)
    idat = zlib.compress(b"".join(b"\0" + line for line in lines))
    return png_file(width, len(lines), depth, color_type, idat, *extra)


def with_orientation(orientation: int, format_: str = "JPEG", image: np.ndarray | None = None) -> bytes:
    """An image stored as it is and marked with an EXIF orientation of 1-8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if format_ == "JPEG" else {}
    return encoded(smooth_rgb() if image is None else image, format_, exif=exif, **options)


def damaged_exif() -> bytes:
    return encoded(smooth_rgb(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff")


@functools.cache
def huge_bilevel_png(side: int = 50_000) -> bytes:
    """A true white 1-bit PNG of side x side pixels: 312 MB of rows in about 300 KB."""
    compressor = zlib.compressobj(1)
    band = (b"\0" + b"\xff" * ((side + 7) // 8)) * 500
    parts = [compressor.compress(band) for _ in range(side // 500)]
    return png_file(side, side, 1, 0, b"".join(parts) + compressor.flush())


def _writer(name: str, content: Callable[[], bytes]) -> Factory:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content())
        return path

    return write


def _directory(folder: Path) -> Path:
    path = folder / "directory.jpg"
    path.mkdir()
    return path


def _vanished(folder: Path) -> Path:
    return folder / "vanished.jpg"


def _loop(folder: Path) -> Path:
    path = folder / "loop.jpg"
    path.symlink_to(path)
    return path


def _jpeg() -> bytes:
    return encoded(smooth_rgb(), "JPEG", quality=95)


def _corrupt_png() -> bytes:
    data = bytearray(encoded(smooth_rgb(), "PNG"))
    middle = data.index(b"IDAT") + 20
    data[middle : middle + 20] = bytes(20)
    return bytes(data)


def _gray16() -> np.ndarray:
    return np.linspace(0, 65535, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)


def _rgb16_png() -> bytes:
    rows = (smooth_rgb().astype(np.uint16) * 257).astype(">u2")
    return png_of_rows(WIDTH, 16, 2, [row.tobytes() for row in rows])


def _rgba() -> Image.Image:
    image = Image.fromarray(smooth_rgb()).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def _animation(format_: str, **options: object) -> bytes:
    later = [Image.fromarray(255 - smooth_rgb()), Image.new("RGB", (WIDTH, HEIGHT))]
    return encoded(smooth_rgb(), format_, save_all=True, append_images=later, duration=40, **options)


def _rgb_as(mode: str, format_: str) -> bytes:
    return encoded(Image.fromarray(smooth_rgb()).convert(mode), format_)


UNREADABLE: dict[str, Factory] = {
    "corrupt PNG": _writer("corrupt.png", _corrupt_png),
    "truncated JPEG": _writer("truncated.jpg", lambda: _jpeg()[: len(_jpeg()) // 2]),
    "truncated PNG": _writer("truncated.png", lambda: encoded(smooth_rgb(), "PNG")[:200]),
    "truncated WebP": _writer("truncated.webp", lambda: encoded(smooth_rgb(), "WEBP")[:60]),
    "truncated GIF": _writer("truncated.gif", lambda: encoded(smooth_rgb(), "GIF")[:900]),
    "truncated BMP": _writer("truncated.bmp", lambda: encoded(smooth_rgb(), "BMP")[:900]),
    "truncated TIFF": _writer("truncated.tif", lambda: encoded(smooth_rgb(), "TIFF")[:900]),
    "header only": _writer("header.jpg", lambda: _jpeg()[:20]),
    "zero bytes": _writer("empty.jpg", bytes),
    "text named .jpg": _writer("text.jpg", "这不是照片\n".encode),
    "PostScript named .jpg": _writer("script.jpg", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "lying header, 50,000 x 50,000": _writer("lie.png", lambda: png_file(50_000, 50_000, 8, 2, b"tiny")),
    "true 50,000 x 50,000": _writer("huge.png", huge_bilevel_png),
    "directory": _directory,
    "vanished": _vanished,
    "symlink loop": _loop,
}

READABLE: dict[str, Factory] = {
    "CMYK JPEG": _writer("cmyk.jpg", lambda: _rgb_as("CMYK", "JPEG")),
    "gray JPEG": _writer("gray.jpg", lambda: _rgb_as("L", "JPEG")),
    "16-bit gray PNG": _writer("gray16.png", lambda: encoded(_gray16(), "PNG")),
    "16-bit gray TIFF": _writer("gray16.tif", lambda: encoded(_gray16(), "TIFF")),
    "16-bit big-endian TIFF": _writer("gray16b.tif", lambda: encoded(_gray16().astype(">u2"), "TIFF")),
    "16-bit RGB PNG": _writer("rgb16.png", _rgb16_png),
    "float TIFF": _writer("float.tif", lambda: encoded((_gray16() / 65535).astype(np.float32), "TIFF")),
    "LAB TIFF": _writer("lab.tif", lambda: _rgb_as("LAB", "TIFF")),
    "palette PNG": _writer("palette.png", lambda: _rgb_as("P", "PNG")),
    "bilevel PNG": _writer("bilevel.png", lambda: _rgb_as("1", "PNG")),
    "alpha PNG": _writer("alpha.png", lambda: encoded(_rgba(), "PNG")),
    "gray alpha PNG": _writer("alpha_gray.png", lambda: encoded(_rgba().convert("LA"), "PNG")),
    "animated GIF": _writer("animated.gif", lambda: _animation("GIF")),
    "animated WebP": _writer("animated.webp", lambda: _animation("WEBP", lossless=True)),
    "animated PNG": _writer("animated.png", lambda: _animation("PNG")),
    "rotated JPEG": _writer("rotated.jpg", lambda: with_orientation(6)),
    "damaged EXIF": _writer("exif.jpg", damaged_exif),
    "name with newline": _writer("two\nlines.jpg", _jpeg),
    "name with emoji": _writer("🚗.jpg", _jpeg),
    "name of a plate": _writer("京A12345.JPG", _jpeg),
    "name with spaces": _writer(" a  b .jpeg", _jpeg),
}
