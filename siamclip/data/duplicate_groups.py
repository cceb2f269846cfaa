"""Which photos of a collection are copies of each other, for a split that keeps them on one side: a table path, group.

clean.py find writes one (groups.csv); a table of one's own will do.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

from siamclip.errors import UserError

COLUMNS = ("path", "group")


def read_groups(path: Path) -> list[tuple[str, str]]:
    """(path, group) each, of a CSV or a Parquet file with these columns. Raises UserError that names the file."""
    try:
        rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _csv_rows(path)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError("duplicate_groups", f"cannot be read ({error})", "clean.py find writes one", path) from None
    if rows is None:
        raise UserError("duplicate_groups", "has no columns path and group", "clean.py find writes such a file", path)
    return rows


def _csv_rows(path: Path) -> list[tuple[str, str]] | None:
    with path.open(encoding="utf-8-sig", errors=sys.getfilesystemencodeerrors(), newline="") as file:
        reader = csv.DictReader(file)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            return None
        rows = []
        for row in reader:
            if not row["path"] or not row["group"]:
                raise ValueError(f"line {reader.line_num} has no path or no group")
            rows.append((row["path"], row["group"]))
        return rows


def _parquet_rows(path: Path) -> list[tuple[str, str]] | None:
    import pyarrow
    import pyarrow.parquet

    try:
        with path.open("rb") as file:
            table = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    if not set(COLUMNS) <= set(table.column_names):
        return None
    paths, groups = (table.column(name).to_pylist() for name in COLUMNS)
    if None in paths or None in groups:
        raise ValueError("a row has no path or no group")
    return [(os.fsdecode(name), str(group)) for name, group in zip(paths, groups, strict=True)]  # text or its bytes
