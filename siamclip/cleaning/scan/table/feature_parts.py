"""What the scorers found, on disk, by content: a photo that moved, or that lies there twice, is known.

    RUN/scan/parts/features-*.parquet    content, error, failed, embedding_error, then one column a scorer's column

Parts are only added, each in one step, and each says in its metadata which scorers (and versions) ran on all of its
rows. A later part has the last word on a content. Small parts that follow each other are merged.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.file_table import places, read_or_remove, text, write_table
from siamclip.cleaning.scan.table.records import ImageScorer, missing_value
from siamclip.errors import UserError, printable

if TYPE_CHECKING:
    import pyarrow as pa

FEATURE_PART = "features-*.parquet"
MERGE_FROM = 16  # small parts; fewer are not worth writing again
SMALL_PART = 65_536  # rows
_METADATA = b"siamclip"
_LEADING = ("content", "error", "failed", "embedding_error")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    path: Path
    scorers: Mapping[str, str]  # name -> version
    embedder: str  # fingerprint, "" where no pixels were fitted
    columns: Mapping[str, str]  # name -> type
    rows: int


@dataclass
class Rows:
    """What is to be written: features of contents, the columns of one or more scorers."""

    content: np.ndarray  # (M,) S32
    errors: list[str]
    failed: list[list[str]]
    fit_errors: list[str]
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.content)


def parts(run: RunFolder) -> list[Part]:
    """Newest first."""
    found = [_describe(path) for path in sorted(run.parts.glob(FEATURE_PART), reverse=True)]
    return [part for part in found if part is not None]


def write_part(path: Path, rows: Rows, scorers: Sequence[ImageScorer], embedder: str) -> None:
    """Raises UserError where the disk is full."""
    import pyarrow as pa

    columns = {
        "content": text(rows.content),
        "error": pa.array(rows.errors, pa.string()),
        "failed": pa.array(rows.failed, pa.list_(pa.string())),
        "embedding_error": pa.array(rows.fit_errors, pa.string()),
    }
    columns |= {name: _to_arrow(column) for name, column in rows.columns.items()}
    what = {"scorers": {scorer.name: scorer.version for scorer in scorers}, "embedder": embedder}
    write_table(path, pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(what).encode()}))


class Features:
    """What is known of some contents, (N,) S32, empty ones being unknown. Reads only what it is asked for."""

    def __init__(self, run: RunFolder, content: np.ndarray) -> None:
        self._content = text(content)
        self._leading = {}
        self.parts: list[Part] = []
        for part in parts(run):
            table = read_or_remove(part.path, list(_LEADING))
            if table is not None:
                self._leading[part.path] = table
                self.parts.append(part)
        self._places: dict[tuple[Path, ...], np.ndarray] = {}

    def known(self, scorer: ImageScorer) -> np.ndarray:
        """(N,) bool: the scorer ran."""
        return self._rows(self._holders(scorer)) >= 0

    def undecodable(self) -> np.ndarray:
        """(N,) object: why the decoder refuses the content, "" where it does not."""
        return self._taken(self.parts, lambda table: _errors(table, None))

    def failures(self, scorer: ImageScorer) -> np.ndarray:
        """(N,) object: the error of the photos where this scorer raised, "" elsewhere."""
        return self._taken(self._holders(scorer), lambda table: _errors(table, scorer.name))

    def not_embedded(self, fingerprint: str) -> np.ndarray:
        """(N,) object: why the pixels cannot be brought into the embedder's shape, "" where they can."""
        holders = [part for part in self.parts if part.embedder == fingerprint]
        return self._taken(holders, lambda table: table["embedding_error"].to_numpy())

    def columns(self, scorer: ImageScorer, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Some of the scorer's columns, (N, ...) each, with NaN, 0 or empty text where nothing is known.

        Raises UserError for a damaged part.
        """
        import pyarrow as pa

        kinds = {name: scorer.columns[name] for name in names}
        holders = self._holders(scorer)
        rows = self._rows(holders)
        known = rows >= 0
        whole = pa.concat_tables([_read_columns(part.path, list(kinds)) for part in holders]) if holders else None
        found = {}
        for name, kind in kinds.items():
            dtype = np.dtype(kind)
            values = np.full(
                (len(rows), *dtype.shape), missing_value(kind), object if dtype.kind == "U" else dtype.base
            )
            if whole is not None:
                values[known] = _to_numpy(whole[name], dtype)[rows[known]]
            found[name] = values.astype(str) if dtype.kind == "U" else values
        return found

    def _holders(self, scorer: ImageScorer) -> list[Part]:
        return [
            part
            for part in self.parts
            if part.scorers.get(scorer.name) == scorer.version and scorer.columns.keys() <= part.columns.keys()
        ]

    def _rows(self, holders: list[Part]) -> np.ndarray:
        """(N,) row of each content in these parts one after the other (the newest first), -1 where none has it."""
        import pyarrow as pa

        key = tuple(part.path for part in holders)
        if key not in self._places:
            among = [self._leading[path]["content"].combine_chunks() for path in key]
            self._places[key] = places(self._content, pa.concat_arrays([pa.array([], pa.large_string()), *among]))
        return self._places[key]

    def _taken(self, holders: list[Part], texts: Callable[[pa.Table], np.ndarray]) -> np.ndarray:
        found = np.full(len(self._content), "", object)
        if holders:
            rows = self._rows(holders)
            found[rows >= 0] = np.concatenate([texts(self._leading[part.path]) for part in holders])[rows[rows >= 0]]
        return found


def merge(run: RunFolder) -> None:
    """Small parts that follow each other and hold the same columns become one, under the name of the last.

    It is written before the others are removed; until then their rows are there twice, which changes nothing.
    """
    small: list[Part] = []
    for part in [*reversed(parts(run)), None]:
        fits = part is not None and (not small or _alike(part, small[0]))
        if part is not None and fits and sum(one.rows for one in small) + part.rows <= SMALL_PART:
            small.append(part)
            continue
        _merge(small)
        small = [part] if part is not None and part.rows < SMALL_PART else []


def _merge(small: list[Part]) -> None:
    import pyarrow as pa

    if len(small) < MERGE_FROM:
        return
    tables = [read_or_remove(part.path) for part in reversed(small)]  # the newest first, as everywhere
    if any(table is None for table in tables):
        return  # the next scan reads again what was lost
    write_table(small[-1].path, pa.concat_tables(tables))
    for part in small[:-1]:
        part.path.unlink(missing_ok=True)


def _alike(one: Part, other: Part) -> bool:
    return (one.scorers, one.embedder, one.columns) == (other.scorers, other.embedder, other.columns)


def _describe(path: Path) -> Part | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        what = json.loads((schema.metadata or {})[_METADATA])
        columns = {one.name: str(one.type) for one in schema}
        return Part(path, dict(what["scorers"]), str(what["embedder"]), columns, rows)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        log.warning("%s is damaged (%s): its photos are read again", path, printable(str(error)))
        path.unlink(missing_ok=True)
        return None


def _errors(table: pa.Table, scorer: str | None) -> np.ndarray:
    """(rows,) object: the error where `scorer` raised, or with None where the decoder did; "" elsewhere."""
    found = table["error"].to_numpy().copy()
    for row in np.flatnonzero(found != "").tolist():  # few, so that only their lists become Python objects
        failed = table["failed"][row].as_py()
        if scorer not in failed if scorer is not None else failed:
            found[row] = ""
    return found


def _read_columns(path: Path, names: list[str]) -> pa.Table:
    table = read_or_remove(path, names)
    if table is None:
        raise UserError("", f"{path}: was damaged", "scan again, which reads its photos once more")
    return table


def _to_arrow(column: np.ndarray) -> pa.Array:
    import pyarrow as pa

    if column.dtype.kind == "S":
        return text(column) if column.dtype.itemsize == 32 else pa.array(column.tolist(), pa.binary()).cast(pa.string())
    if column.dtype.kind == "O":
        return pa.array(column, pa.string())
    if column.ndim == 1:
        return pa.array(column)
    flat = pa.array(np.ascontiguousarray(column).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(column.shape[1:])))


def _to_numpy(column: pa.ChunkedArray, dtype: np.dtype) -> np.ndarray:
    if dtype.shape:
        return np.asarray(column.combine_chunks().flatten()).reshape(-1, *dtype.shape)
    return column.to_numpy()
