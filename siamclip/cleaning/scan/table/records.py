"""One record of a scan: a file's row, and what a scorer gives for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from siamclip.cleaning.decoded import Decoded


FILE_DTYPE = np.dtype([("size", "<i8"), ("mtime_ns", "<i8"), ("inode", "<u8"), ("device", "<u8"), ("content", "S32")])
INODE_MASK = (1 << 64) - 1  # some Windows file systems have identifiers of 128 bits


@dataclass(frozen=True)
class ImageScorer:
    """What a worker runs: `target` "module:name", or `call` where the scorer has a state (a network's weights)."""

    name: str
    version: str
    columns: Mapping[str, str]
    target: str = ""
    call: Callable[[Decoded], Mapping[str, Any]] | None = None
    grey: bool = False  # as in the method table


def missing_value(kind: str) -> Any:
    """What stands where there is no value: NaN, 0, False, empty text."""
    return {"f": np.nan, "U": "", "S": b""}.get(np.dtype(kind).base.kind, 0)
