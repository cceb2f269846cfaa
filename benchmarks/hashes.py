"""Perceptual hashes of 1260 x 840 photos: ours against imagehash.

python benchmarks/hashes.py

Milliseconds of processor time a photo on one core, and whether the bits are the same. Whole folders, beside imagededup:
benchmarks/scan.py.
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from siamclip.errors import exit_on_user_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=20, help="photos (default 20)")
    arguments = parser.parse_args()

    from benchmarks.machine import machine
    from benchmarks.photos import render_photos

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        _from_pixels(render_photos(Path(folder), arguments.number))


def _from_pixels(files: list[Path]) -> None:
    import imagehash
    from PIL import Image

    from siamclip.cleaning.decoded import Decoded
    from siamclip.cleaning.duplicates.hashing.hashes import perceptual, perceptual16
    from siamclip.data.image.decode import decode_with_header

    opened = [decode_with_header(file) for file in files]
    images = [Image.fromarray(rgb) for rgb, _ in opened]
    peers: dict[str, Callable[[Any], object]] = {
        "phash": imagehash.phash,
        "ahash": imagehash.average_hash,
        "dhash": imagehash.dhash,
        "whash": imagehash.whash,
    }
    ours = _milliseconds(lambda i: perceptual(Decoded(*opened[i])), len(files))
    wide = _milliseconds(lambda i: perceptual16(Decoded(*opened[i])), len(files))
    print(f"from pixels: ours {ours:.2f} ms for four hashes of 64 bits, {wide:.2f} ms for four of 256")
    theirs = {name: _milliseconds(functools.partial(_of, peer, images), len(files)) for name, peer in peers.items()}
    separately = ", ".join(f"{name} {took:.2f}" for name, took in theirs.items())
    print(f"imagehash {sum(theirs.values()):.2f} ms ({separately}): {sum(theirs.values()) / ours:.1f} times as long")
    equal = sum(
        f"{int(perceptual(Decoded(*one))[f'{name}8']):016x}" == str(peer(image))
        for one, image in zip(opened, images, strict=True)
        for name, peer in peers.items()
    )
    print(f"the same bits: {equal} of {len(files) * len(peers)} hashes")


def _of(peer: Callable[[Any], object], images: list[Any], i: int) -> object:
    return peer(images[i])


def _milliseconds(call: Callable[[int], object], number: int) -> float:
    """Median over the photos, of the faster of two calls."""
    call(0)
    took = np.empty((2, number))
    for turn in range(2):
        for i in range(number):
            started = time.thread_time()
            call(i)
            took[turn, i] = time.thread_time() - started
    return float(np.median(took.min(axis=0)) * 1000)


if __name__ == "__main__":
    with exit_on_user_error():
        main()
