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


@contextlib.contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into; at the end it is flushed to the disk and renamed to `path`.

    After an error nothing is left of it, and `path` is what it was before; after a kill a `.NAME.PROCESS.part` may be
    left. Raises OSError.
    """
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:  # what is added must fit, too
        name = xxhash.xxh3_128_hexdigest(os.fsencode(name))
    draft = path.with_name(f".{name}.{os.getpid()}.part")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to report
            draft.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """All of `content` or nothing (see draft_of). Raises OSError."""
    with draft_of(path) as draft:
        draft.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, setting: str) -> Iterator[TextIO]:
    """A UTF-8 file that takes the name `path` when it is complete (see draft_of).

    Raises UserError for `setting`, which gave the path, where it cannot be written.
    """
    try:
        with draft_of(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise UserError(setting, problem, "nothing was changed", path) from error
