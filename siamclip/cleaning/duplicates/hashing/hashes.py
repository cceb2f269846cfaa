"""Perceptual hashes, the same bits as the `imagehash` package (4.3) gives: phash, ahash, dhash and whash.

    ahash   8 x 8 pixels, brighter than their mean         hackerfactor.com, "Looks Like It", 2011
    phash   low frequencies of 32 x 32, above their median      the same
    dhash   9 x 8 pixels, brighter than their left neighbour    hackerfactor.com, "Kind of Like That", 2013
    whash   low band of Haar wavelets, above its median         fullstackml.com, "Wavelet image hash in Python", 2016

16 x 16 hashes have twice those sides. Bits are read row by row, the first one the most significant, as in imagehash's
hexadecimal text; 256 bits are four words, the first rows in the first.

JPEGs are decoded at full size for them. A scan with no other scorer takes the luma that a JPEG of at least 640 x 640
pixels stores (`decode.decode_luma_with_header`) and not that of its colours, which is rounded and clipped once
more. Of 1,542 real photos enlarged to that many pixels (JPEG quality 75, 90, 95), at most one bit differed between the
two in 99.2 to 99.6% for phash (two bits in the rest), and in 99.8% or more for the others. That is no other version: a
photo may have either. 256 bits differ too often (phash: at most one in 96 to 97%).

At a reduced size (both sides at least 256), of 308 photos enlarged to 1260 x 840, at most one bit differed in 99% for
ahash and dhash but only in 97% for phash and 98.7% for whash; of 256 bits, in 77 to 93% for all but ahash.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.duplicates.hashing.haar import low_band_bits, natural_scale
from siamclip.cleaning.duplicates.hashing.resample import Shrinker

# Upright first.
ORIENTATIONS: tuple[Image.Transpose | None, ...] = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
)
_SWAPS_SIDES = frozenset(ORIENTATIONS[4:])

# The scorers below share what they make of one photo.
_SHRINKERS: WeakKeyDictionary[Decoded, Shrinker] = WeakKeyDictionary()


def perceptual(decoded: Decoded) -> dict[str, np.uint64 | np.float32]:
    """phash8, ahash8, dhash8, whash8, and hash_contrast: standard deviation at 32 x 32 pixels, in grey levels."""
    shrinker = _shrinker(decoded)
    found = {f"{name}8": words[0] for name, words in _hashes(shrinker, 8).items()}
    return {**found, "hash_contrast": np.float32(shrinker.to(32, 32).std())}


def perceptual16(decoded: Decoded) -> dict[str, np.ndarray]:
    """phash16, ahash16, dhash16, whash16: (4,) uint64 each."""
    return {f"{name}16": words for name, words in _hashes(_shrinker(decoded), 16).items()}


def orientations(decoded: Decoded) -> dict[str, np.ndarray]:
    """phash8_oriented and so on: (8,) uint64, the hashes of the photo turned and mirrored, in ORIENTATIONS' order.

    The shrunk photo is turned, not the photo. Shrinking is symmetric but for its rounding: on 154 photos in seven
    orientations, 96 to 99.6% of the hashes (by kind) were those of the turned photo, and no other by more than 2 bits.
    The first is the upright hash, bit for bit.
    """
    shrinker = _shrinker(decoded)
    square, wide, tall = shrinker.to(32, 32), shrinker.to(9, 8), shrinker.to(8, 9)
    means = mean_bits(shrinker.to(8, 8))
    waves = low_band_bits(_at_natural_scale(shrinker, 8), 8)
    found: dict[str, list[np.ndarray]] = {"phash": [], "ahash": [], "dhash": [], "whash": []}
    for turn in ORIENTATIONS:
        found["phash"].append(frequency_bits(_turned(square, turn), 8))
        found["ahash"].append(_turned(means, turn))
        found["dhash"].append(difference_bits(_turned(tall if turn in _SWAPS_SIDES else wide, turn)))
        found["whash"].append(_turned(waves, turn))
    return {f"{name}8_oriented": np.array([packed(one)[0] for one in bits]) for name, bits in found.items()}


def mean_bits(pixels: np.ndarray) -> np.ndarray:
    """bool (s, s) of uint8 (s, s): above the mean. In whole numbers, which is exact as imagehash's float64 mean is."""
    return pixels.astype(np.int64) * pixels.size > pixels.sum(dtype=np.int64)


def difference_bits(pixels: np.ndarray) -> np.ndarray:
    """bool (s, s) of uint8 (s, s + 1): above the pixel to the left."""
    bits: np.ndarray = pixels[:, 1:] > pixels[:, :-1]
    return bits


def frequency_bits(pixels: np.ndarray, side: int) -> np.ndarray:
    """bool (side, side) of uint8 (4 side, 4 side): the lowest DCT-II coefficients, above their median.

    Made by the routine that imagehash calls: where a picture is symmetric, the sign of rounding errors makes bits.
    """
    from scipy.fftpack import dct

    low = dct(dct(pixels, axis=0)[:side], axis=1)[:, :side]
    bits: np.ndarray = low > np.median(low)
    return bits


def packed(bits: np.ndarray) -> np.ndarray:
    """(n / 64,) uint64 of (s, s) bool, s * s = n: row by row, the first bit the most significant."""
    return np.packbits(bits.reshape(-1)).view(">u8").astype(np.uint64)


def hexadecimal(words: np.ndarray | np.uint64) -> str:
    """The text that imagehash shows for the hash: 16 digits for 64 bits, 64 digits for 256."""
    return "".join(f"{int(word):016x}" for word in np.atleast_1d(words))


def _shrinker(decoded: Decoded) -> Shrinker:
    if decoded not in _SHRINKERS:
        _SHRINKERS[decoded] = Shrinker(decoded.luma)
    return _SHRINKERS[decoded]


def _hashes(shrinker: Shrinker, side: int) -> dict[str, np.ndarray]:
    return {
        "phash": packed(frequency_bits(shrinker.to(4 * side, 4 * side), side)),
        "ahash": packed(mean_bits(shrinker.to(side, side))),
        "dhash": packed(difference_bits(shrinker.to(side + 1, side))),
        "whash": packed(low_band_bits(_at_natural_scale(shrinker, side), side)),
    }


def _at_natural_scale(shrinker: Shrinker, side: int) -> np.ndarray:
    scale = natural_scale(shrinker.size, side)
    return shrinker.to(scale, scale)


def _turned(pixels: np.ndarray, turn: Image.Transpose | None) -> np.ndarray:
    return pixels if turn is None else np.asarray(Image.fromarray(pixels.astype(np.uint8)).transpose(turn))
