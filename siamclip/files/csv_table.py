"""CSV whose file names come back as they were, whatever they hold."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """RFC 4180 in UTF-8 (with a byte order mark, without which Excel shows Chinese names as noise); a name that is no
    UTF-8 keeps the bytes that the disk has.

    Lines end in CR LF: with LF alone the csv module leaves a CR inside a name unquoted, and no reader gets it back.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8-sig", sys.getfilesystemencodeerrors())
