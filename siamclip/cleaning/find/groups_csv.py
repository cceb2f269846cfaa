"""groups.csv: which photos of a collection are copies of each other, for a split that keeps them on one side."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.groups.grouping import components
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically
from siamclip.files.csv_table import as_csv

COLUMNS = ("path", "group")


def write_groups(path: Path, photos: PhotoTable, copies: Sequence[CopyPairs]) -> int:
    """CSV: path (relative to the collection's root), group; how many groups there are.

    Whatever hangs together through copies is one group, under one label or several: a chain must not cross the
    split either. Photos of an archive are left out. Raises UserError if the file cannot be written.
    """
    group = components(len(photos), *((part.first, part.second) for part in copies))
    rows = np.flatnonzero(~photos.is_archived)
    _, number, size = np.unique(group[rows], return_inverse=True, return_counts=True)
    rows = rows[size[number] > 1]
    group = np.unique(group[rows], return_inverse=True)[1]
    rows_of_file = ((photos.paths[rows[i]], int(group[i])) for i in np.argsort(group, kind="stable"))
    try:
        write_atomically(path, as_csv(COLUMNS, rows_of_file))
    except OSError as error:
        raise UserError("", f"{path}: cannot be written ({error.strerror})") from error
    return int(group.max(initial=-1)) + 1


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
