"""The one decoder: a file, its bytes or an image in memory in, uint8 (H, W, 3) RGB out.

Every stage reads images through this module, so that a photo looks the same to training, evaluation,
prediction and cleaning. Pillow does the decoding: at the same reduced scale OpenCV gives the same pixels of a
JPEG 8% sooner, but returns a truncated file half grey without an error.

Colour: samples are taken as sRGB and embedded ICC profiles are ignored, as in CLIP's own preprocessing.
Samples of 16 bits keep their high byte (v >> 8), which is libpng's rule and Pillow's for 48-bit colour.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from siamclip.errors import ImageError

ImageSource: TypeAlias = str | os.PathLike[str] | bytes

IMAGE_EXTENSIONS: frozenset[str] = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
)
MAX_PIXELS = 178_956_970  # Pillow's own error limit: 512 MiB of RGB

# A JPEG's stored luma instead of that of its decoded colours: of 1,542 real photos enlarged to 640 x 640 pixels' worth
# (JPEG quality 75, 90, 95), at most one bit of 64 differed in 99.2 to 99.6% for phash, and in 99.8% or more for ahash,
# dhash and whash; at 300 x 300, in 98.7% for phash.
LUMA_PIXELS = 640 * 640

# Constructed directly, without Image.open: that would warn about large images before our own limit is asked
# (and warnings cannot be silenced in one thread only), and try fifty more formats, one by way of Ghostscript.
_READERS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"GIF8", GifImagePlugin.GifImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"II", TiffImagePlugin.TiffImageFile),
    (b"MM", TiffImagePlugin.TiffImageFile),
)
_SIGNATURE_BYTES = 8

# The TIFF reader asks Pillow's warning limit while it loads, when ours has long been asked; and it warns of
# every damaged EXIF tag, in JPEGs too, which is nothing that the reader of a log can act on.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")

_ORIENTATION_TAG = 0x0112
_BITS_PER_SAMPLE_TAG = 0x0102
# EXIF 2.32, 4.6.4: what brings an image that was stored in orientation n upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset((5, 6, 7, 8))
_MAX_FRAMES = 1_000_000  # where counting ends: a file of 2 MB may claim 2^31


@dataclass(frozen=True)
class Header:
    """What a file says of its image: format and mode as Pillow names them, upright size in pixels at full scale."""

    format: str
    mode: str
    width: int
    height: int
    frames: int  # of an animation, or pages; 1 for a still image
    orientation: int  # EXIF, 1-8
    has_alpha: bool
    has_profile: bool  # an embedded ICC profile, which the decoder ignores
    bits: int = 8  # a sample: 1, 8 or more (12, 16, 32); Pillow's mode is "RGB" for 48-bit colour too


def decode(source: ImageSource, min_side: int | None = None, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a file (or its bytes) to a writable uint8 (H, W, 3) RGB array.

    EXIF orientation is applied, alpha is composited on white, an animation gives its first frame. With
    `min_side` a JPEG is decoded at 1/2, 1/4 or 1/8 while both sides stay >= `min_side`; other formats come at
    full size.
    Raises ImageError for whatever cannot be read, and for more than `max_pixels` before any pixel is decoded.
    """
    return _decode(source, min_side, max_pixels, count_frames=False)[0]


def decode_with_size(
    source: ImageSource, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, tuple[int, int]]:
    """`decode`, and the upright (width, height) that the image has at full scale."""
    rgb, header = _decode(source, min_side, max_pixels, count_frames=False)
    return rgb, (header.width, header.height)


def decode_with_header(
    source: ImageSource, min_side: int | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[np.ndarray, Header]:
    """`decode`, and what the file says of the image."""
    return _decode(source, min_side, max_pixels, count_frames=True)


def decode_luma_with_header(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, Header]:
    """Writable uint8 (H, W) luma, 0.299 R + 0.587 G + 0.114 B of `decode`'s pixels, and the same header.

    A colour JPEG of at least LUMA_PIXELS stores its luma, and that is taken as it is: half the time of decoding
    colours, and within a few grey levels of what they give, whose rounding and clipping it lacks. Whatever else is
    decoded in full and converted by Pillow. Raises what `decode_with_header` raises.
    """
    return _decode(source, None, max_pixels, count_frames=True, luma=True)


def _decode(
    source: ImageSource, min_side: int | None, max_pixels: int, count_frames: bool, luma: bool = False
) -> tuple[np.ndarray, Header]:
    """Without `count_frames`, which reads a GIF to its end, the header says 1."""
    if min_side is not None and min_side < 1:
        raise ValueError(f"min_side must be at least 1, not {min_side}")
    try:
        with _open_stream(source) as stream:
            image = _read_header(stream, max_pixels)
            mode, (width, height), bits, stored = image.mode, image.size, _bits(image), _tiff_orientation(image)
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            if luma and width * height >= LUMA_PIXELS:  # of no effect but on JPEGs of three components
                image.draft("L", None)
            image.load()
            orientation = _orientation(image)
            if orientation in _SWAPS_SIDES:
                width, height = height, width
            pixels = np.array(_upright(_as_luma(image) if luma else _as_rgb(image), orientation))
            has_alpha, has_profile = bool(image.has_transparency_data), bool(image.info.get("icc_profile"))
            frames = _frames(image, stream) if count_frames else 1
            header = Header(
                str(image.format), mode, width, height, frames, stored or orientation, has_alpha, has_profile, bits
            )
            return pixels, header
    except Exception as error:  # a damaged file makes Pillow raise anything from KeyError to zlib.error
        raise ImageError(_reason(error), _describe(source)) from error


def probe(source: ImageSource, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) from the header alone: before EXIF orientation, but for a TIFF's.

    Raises ImageError for whatever `decode` refuses without looking at pixels: many times as fast, but a file
    that is damaged further on passes.
    """
    try:
        with _open_stream(source) as stream:
            return _read_header(stream, max_pixels).size
    except Exception as error:  # as in _decode
        raise ImageError(_reason(error), _describe(source)) from error


def to_rgb(image: np.ndarray | Image.Image) -> np.ndarray:
    """Normalise an image in memory to uint8 (H, W, 3) RGB by the rules of `decode`.

    Arrays: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA; uint8, uint16 (full range) or float in [0, 1].
    A uint8 (H, W, 3) array is returned as it is, not copied. Anything else raises ImageError.
    """
    try:
        if isinstance(image, Image.Image):
            image.load()
            return np.array(_upright(_as_rgb(image), _orientation(image)))
        return _array_as_rgb(image)
    except Exception as error:  # an image opened lazily by the caller fails here, as one from a path would
        raise ImageError(_reason(error), _describe(image)) from error


def content_hash(path: str | os.PathLike[str]) -> str:
    """xxh3-128 of a file's bytes as 32 hexadecimal digits; ImageError if it cannot be read."""
    import xxhash

    digest = xxhash.xxh3_128()
    try:
        with _open_stream(os.fspath(path)) as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except (OSError, ValueError) as error:
        raise ImageError(_reason(error), _describe(path)) from error
    return digest.hexdigest()


def _open_stream(source: ImageSource) -> AbstractContextManager[IO[bytes]]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    mode = Path(source).stat().st_mode
    if not stat.S_ISREG(mode):  # opening a named pipe would wait for ever
        raise ValueError("a directory" if stat.S_ISDIR(mode) else "not a regular file")
    return Path(source).open("rb")


def _read_header(stream: IO[bytes], max_pixels: int) -> ImageFile.ImageFile:
    signature = stream.read(_SIGNATURE_BYTES)
    if not signature:
        raise ValueError("the file is empty")
    stream.seek(0)
    for prefix, reader in _READERS:
        if signature.startswith(prefix):
            image = reader(stream)
            if image.width * image.height > max_pixels:
                raise ValueError(f"{image.width} x {image.height} is over the limit of {max_pixels:,} pixels")
            return image
    raise ValueError("not a JPEG, PNG, BMP, WebP, TIFF or GIF file")


def _frames(image: ImageFile.ImageFile, stream: IO[bytes]) -> int:
    """Last of all steps, for it moves the reader: a damaged second frame is no reason to lose the first."""
    try:
        frames = _tiff_pages(stream) if image.format == "TIFF" else int(getattr(image, "n_frames", 1))
    except Exception:  # of as many kinds as in _decode; what cannot be played is a still image
        return 1
    return min(frames, _MAX_FRAMES)


def _tiff_pages(stream: IO[bytes]) -> int:
    """Length of the chain of directories; Pillow's own count takes 5 s for a hostile file of 2 MB (n^2)."""

    def number(position: int, size: int) -> int:
        stream.seek(position)
        return int.from_bytes(stream.read(size), order)

    stream.seek(0)
    order: Literal["little", "big"] = "little" if stream.read(2) == b"II" else "big"
    # TIFF 6.0, section 2: classic files; version 43 is BigTIFF with wider fields.
    start, count_size, entry_size, offset_size = (8, 8, 20, 8) if number(2, 2) == 43 else (4, 2, 12, 4)
    seen: set[int] = set()
    directory = number(start, offset_size)
    while directory and directory not in seen and len(seen) < _MAX_FRAMES:
        entries = number(directory, count_size)
        if entries == 0:  # not allowed, and what the end of a cut file reads as
            break
        seen.add(directory)
        directory = number(directory + count_size + entries * entry_size, offset_size)
    return max(1, len(seen))


def _bits(image: ImageFile.ImageFile) -> int:
    """Bits a sample of an image that is not loaded yet: its raw modes are gone afterwards."""
    if image.mode == "1":
        return 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(8, int(image.tag_v2.get(_BITS_PER_SAMPLE_TAG, (8,))[0]))
    return 16 if image.format == "PNG" and ";16" in str(image.tile[0].args) else 8


def _tiff_orientation(image: ImageFile.ImageFile) -> int | None:
    """What a TIFF says before it is loaded: then Pillow turns it upright, and the tag is gone."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return None
    orientation = image.tag_v2.get(_ORIENTATION_TAG, 1)
    return orientation if orientation in _UPRIGHT else 1


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8, of a loaded image only: Pillow turns a TIFF upright itself, while it loads."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF beside whole pixels: shown as stored, which is what every viewer does
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation == 1 else image.transpose(_UPRIGHT[orientation])


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_array_as_rgb(_wide_samples(image)))
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _as_luma(image: Image.Image) -> Image.Image:
    if image.mode == "L" and not image.has_transparency_data:
        return image
    return _as_rgb(image).convert("L")


def _wide_samples(image: Image.Image) -> np.ndarray:
    """Samples of the modes I;16*, I and F as uint16 or float32, (H, W)."""
    samples = np.asarray(image)
    if image.mode == "F":
        return samples
    if image.mode == "I" and (samples.min() < 0 or samples.max() > 0xFFFF):
        raise ValueError("32-bit integer samples outside 0..65535 have no known range")
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE_TAG, (16,))[0]
    shift = 16 - min(bits, 16)  # 12-bit TIFF arrives in a 16-bit mode
    transparent = image.info.get("transparency")
    samples = samples.astype(np.uint16) << shift
    return samples if transparent is None else np.where(samples == transparent, np.uint16(0xFFFF), samples)


def _array_as_rgb(array: np.ndarray) -> np.ndarray:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.size == 0 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ValueError(f"an image is (H, W), (H, W, 3) or (H, W, 4), not {array.shape}")
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    elif np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):  # written so that NaN fails too
            raise ValueError("float samples must lie in [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ValueError(f"samples must be uint8, uint16 or float in [0, 1], not {array.dtype}")
    if array.ndim == 2:
        return np.repeat(array[:, :, None], 3, axis=2)
    if array.shape[2] == 4:
        return np.array(_on_white(Image.fromarray(np.ascontiguousarray(array))))
    return array


def _on_white(rgba: Image.Image) -> Image.Image:
    background = Image.new("RGB", rgba.size, (255, 255, 255))
    background.paste(rgba, mask=rgba.getchannel("A"))
    return background


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, SyntaxError):  # Pillow's word for a header that it cannot follow
        return f"damaged header ({error})"
    if isinstance(error, OSError | ValueError) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _describe(source: ImageSource | np.ndarray | Image.Image) -> str:
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, np.ndarray):
        return f"<array {source.shape} {source.dtype}>"
    if isinstance(source, Image.Image):
        return f"<image {source.size} {source.mode}>"
    return os.fspath(source)
