"""Pairs of photos in a CSV: checked as a whole before the first photo is read, answered row by row.

Relative paths start at the CSV's own folder, so that a table and its photos can move together.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from siamclip.errors import ImageError, UserError

PHOTO_COLUMNS = ("img1", "img2")


class PairTable:
    """The rows of a CSV, UTF-8 with or without a byte order mark, with the columns img1, img2 and any others.

    Raises UserError for a file that cannot be read, is not such a CSV, or holds no pair.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._text = path.read_bytes().decode("utf-8-sig")
            self.columns = [name.strip() for name in next(csv.reader(io.StringIO(self._text), strict=True), [])]
            if missing := [name for name in PHOTO_COLUMNS if name not in self.columns]:
                found = ", ".join(self.columns) or "no columns at all"
                problem = f"has no column {' and '.join(missing)} but {found}"
                raise UserError("pairs", problem, "its first line must name them", path)
            self.total = sum(1 for _ in self.rows())
        except OSError as error:
            raise UserError("pairs", f"cannot be read ({error.strerror})", "check the path", path) from None
        except UnicodeDecodeError as error:
            raise UserError("pairs", f"is not UTF-8 (byte {error.start})", "save it as CSV UTF-8", path) from None
        except csv.Error as error:
            raise UserError("pairs", f"is not a valid CSV ({error})", value=path) from None
        if not self.total:
            raise UserError("pairs", "holds no pair below its first line", value=path)

    def rows(self) -> Iterator[dict[str, str]]:
        """Column -> cell; empty where a row is too short. Empty lines are left out."""
        lines = csv.reader(io.StringIO(self._text), strict=True)
        next(lines)
        for cells in lines:
            if cells:
                padded = cells + [""] * (len(self.columns) - len(cells))
                yield dict(zip(self.columns, padded, strict=False))

    def photos(self, row: dict[str, str]) -> tuple[Path, Path] | ImageError:
        """The two files of a row, or the error of a row that does not name both."""
        for name in PHOTO_COLUMNS:
            if not row[name].strip():
                return ImageError(f"{name} is empty", str(self.path))
        return self.path.parent / row["img1"], self.path.parent / row["img2"]
