"""Small JPEGs of photos for a page, each photo once, up to a number of bytes for all of them together."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from siamclip.data.image.decode import decode
from siamclip.errors import ImageError

SIDE = 128  # pixels
QUALITY = 70
BUDGET = 60_000_000  # bytes of JPEG; base64 makes a third more of them
_AT_ONCE = 256  # photos handed to the threads before the budget is asked again

Progress = Callable[[int, int], None]  # photos done, photos in all


@dataclass(frozen=True)
class Thumbnails:
    """One entry a file, in the order given.

    images: a JPEG; None for a file that cannot be read, and for those beyond the budget.
    errors: why a file could not be read; "" where it could, or where nobody tried.
    """

    images: list[bytes | None]
    errors: list[str]

    @property
    def embedded(self) -> int:
        """How many files have an image."""
        return sum(image is not None for image in self.images)


def thumbnails(
    files: Sequence[Path],
    budget: int = BUDGET,
    *,
    side: int = SIDE,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Thumbnails:
    """Thumbnails no larger than `side` x `side` pixels, in order, until their bytes would pass `budget`.

    Which files have one depends on their order and content alone, not on the threads (default: one a core).
    A file that cannot be read takes its reason and no bytes; it never ends the run.
    """
    images: list[bytes | None] = [None] * len(files)
    errors = [""] * len(files)
    left = budget

    def small(file: Path) -> bytes | str:
        try:
            return thumbnail(file, side)
        except ImageError as error:
            return error.reason

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for batch in _batches(range(len(files)), _AT_ONCE):
            for index, made in zip(batch, pool.map(small, [files[index] for index in batch]), strict=True):
                if isinstance(made, str):
                    errors[index] = made
                elif len(made) <= left:
                    images[index] = made
                    left -= len(made)
                else:
                    left = -1  # nothing smaller that comes later: a page has its images up to one point
            if progress is not None:
                progress(batch[-1] + 1, len(files))
            if left < 0:
                break
    return Thumbnails(images, errors)


def thumbnail(file: Path, side: int = SIDE) -> bytes:
    """A JPEG no larger than `side` x `side`. Raises ImageError if the file cannot be read."""
    from PIL import Image

    photo = Image.fromarray(decode(file, min_side=side))
    photo.thumbnail((side, side))
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=QUALITY, optimize=True)
    return content.getvalue()


def _batches(numbers: Iterable[int], size: int) -> Iterator[list[int]]:
    rest = iter(numbers)
    while batch := list(islice(rest, size)):
        yield batch


def data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
