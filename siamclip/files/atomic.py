"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import xxhash

from siamclip.errors import UserError

_LONGEST_NAME = 200  # bytes; file systems take 255


def write_atomically(path: Path, content: bytes) -> None:
    """All of `content` or nothing: written beside the target, flushed to the disk, then renamed over it."""
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # what is added must fit, too
        name = xxhash.xxh3_128_hexdigest(os.fsencode(name))
    beside = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to report
            beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file that takes its name when it is complete: an error or a kill leaves what was there before.

    Raises UserError where it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise UserError("out", f"cannot be written ({error.strerror or error})", "nothing was changed", path) from error
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to report
            beside.unlink(missing_ok=True)
