"""The files that a scan has seen, on disk: path, what the file system says, content hash, error.

    RUN/scan/files.parquet            every file, links and other skipped names too, as the last whole scan saw them
    RUN/scan/parts/files-*.parquet    files that were read since then; files.parquet takes them in

Ordinary Parquet. `path` is text for people and other tools; where a name is not UTF-8, `raw_path` has its bytes.
"""

from __future__ import annotations

import io
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.inventory import Listing
from siamclip.cleaning.scan.table.records import FILE_DTYPE
from siamclip.errors import UserError, printable
from siamclip.files.atomic import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

STATUS = ("size", "mtime_ns", "inode", "device")
PHOTO, SKIPPED = "photo", "skipped"
FILE_PART = "files-*.parquet"

log = logging.getLogger(__name__)


@dataclass
class FileTable:
    """One row a photo, in the order of the paths."""

    paths: pa.Array  # (N,) large_binary, relative to the root, with forward slashes
    status: np.ndarray  # (N,) FILE_DTYPE
    errors: np.ndarray  # (N,) object: text, "" where there is none

    def __len__(self) -> int:
        return len(self.paths)


def known_files(run: RunFolder) -> FileTable:
    """What earlier scans, whole or broken off, read; the newest word on each path."""
    import pyarrow as pa

    sources = [path for path in (run.files, *sorted(run.parts.glob(FILE_PART))) if path.exists()]
    tables = [table for path in sources if (table := read_or_remove(path)) is not None]
    parts = [_from_arrow(table) for table in reversed(tables)]  # the newest first: index_in finds the first
    paths = pa.concat_arrays([pa.array([], pa.large_binary()), *(part.paths for part in parts)])
    status = np.concatenate([np.zeros(0, FILE_DTYPE), *(part.status for part in parts)])
    errors = np.concatenate([np.zeros(0, object), *(part.errors for part in parts)])
    if len(parts) < 2:
        return FileTable(paths, status, errors)
    newest = places(paths, paths) == np.arange(len(paths))
    return FileTable(paths.filter(pa.array(newest)), status[newest], errors[newest])


def places(wanted: pa.Array, among: pa.Array) -> np.ndarray:
    """(len(wanted),) int64: the first place of each value in `among`, -1 where it is not there."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(pc.index_in(wanted, value_set=among), -1), np.int64)


def identities(status: np.ndarray) -> pa.Array:
    """(N,) FILE_DTYPE as values that are equal for the same file in the same state, whatever its path."""
    import pyarrow as pa

    numbers = np.stack([status[name].astype(np.uint64) for name in STATUS], axis=1)
    return pa.Array.from_buffers(pa.binary(8 * len(STATUS)), len(status), [None, pa.py_buffer(numbers)])


def text(contents: np.ndarray) -> pa.Array:
    """(N,) S32 as Arrow strings."""
    import pyarrow as pa

    if len(contents) and (contents != b"").all():
        offsets = pa.py_buffer(32 * np.arange(len(contents) + 1))
        characters = pa.py_buffer(np.ascontiguousarray(contents))
        return pa.Array.from_buffers(pa.large_string(), len(contents), [None, offsets, characters])
    return pa.array(contents.tolist(), pa.large_binary()).cast(pa.large_string())


def to_arrow(paths: pa.Array, status: np.ndarray, errors: np.ndarray, kind: str = PHOTO) -> pa.Table:
    import pyarrow as pa

    shown, raw = shown_paths(paths)
    columns = {"path": shown, "raw_path": raw}
    columns["kind"] = pa.array([kind] * len(paths), pa.string())
    columns |= {name: pa.array(status[name]) for name in STATUS}
    columns["content"] = text(status["content"])
    columns["error"] = pa.array([error and printable(error) for error in errors], pa.string())
    return pa.table(columns)


def whole_table(files: FileTable, listing: Listing) -> pa.Table:
    """The content of files.parquet: the photos, then whatever was skipped, with its reason."""
    import pyarrow as pa

    number = len(listing.skipped)
    return pa.concat_tables(
        [
            to_arrow(files.paths, files.status, files.errors),
            to_arrow(
                pa.array([path for path, _ in listing.skipped], pa.large_binary()),
                np.zeros(number, FILE_DTYPE),
                np.array([reason for _, reason in listing.skipped], object),
                SKIPPED,
            ),
        ]
    )


def read_photos(run: RunFolder) -> FileTable:
    """The photos of the last whole scan. Raises UserError where the table cannot be read."""
    return _from_arrow(_read_files(run))


def read_skipped(run: RunFolder) -> list[tuple[str, str]]:
    """Path and reason of the links, second names, RUN folders and unlisted folders that the last scan left out."""
    import pyarrow.compute as pc

    table = _read_files(run)
    table = table.filter(pc.equal(table["kind"], SKIPPED))
    reasons = table["error"].to_pylist()
    return list(zip(as_text(_raw_paths(table)), reasons, strict=True))


def as_text(paths: pa.Array) -> list[str]:
    """As `os.fsdecode`: bytes that are no UTF-8 become lone surrogates."""
    import pyarrow as pa

    try:
        found: list[str] = paths.cast(pa.large_string()).to_pylist()
    except pa.ArrowInvalid:
        found = [os.fsdecode(path) for path in paths.to_pylist()]
    return found


def write_table(path: Path, table: pa.Table) -> None:
    """In one step, with checksums. Raises UserError where that cannot be done; what was there stays."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise UserError(
            "",
            f"{path.parent}: the scan cannot be saved ({error.strerror})",
            "what was saved before is whole. Make room, then scan again: it goes on where it stopped",
        ) from None


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Raises OSError or pyarrow.ArrowException where the file is gone or damaged."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=columns, page_checksum_verification=True, memory_map=False)


def read_or_remove(path: Path, columns: list[str] | None = None) -> pa.Table | None:
    """None for a damaged file of ours, which is removed with a warning: its photos are read again."""
    import pyarrow as pa

    try:
        return read_table(path, columns)
    except (pa.ArrowException, OSError) as error:
        log.warning("%s is damaged (%s): its photos are read again", path, printable(str(error)))
        path.unlink(missing_ok=True)
        return None


def _read_files(run: RunFolder) -> pa.Table:
    import pyarrow as pa

    try:
        return read_table(run.files)
    except (pa.ArrowException, OSError) as error:
        raise UserError("", f"{run.files}: cannot be read ({printable(str(error))})", "scan again") from None


def _from_arrow(table: pa.Table) -> FileTable:
    import pyarrow.compute as pc

    table = table.filter(pc.equal(table["kind"], PHOTO))
    status = np.zeros(len(table), FILE_DTYPE)
    for name in STATUS:
        status[name] = table[name].to_numpy()
    status["content"] = table["content"].to_numpy()
    return FileTable(_raw_paths(table), status, table["error"].to_numpy())


def shown_paths(paths: pa.Array) -> tuple[pa.Array, pa.Array]:
    """(text, bytes) of paths as bytes: the text for people; the bytes where the text is not the name, else null."""
    import pyarrow as pa

    try:
        return paths.cast(pa.large_string()), pa.nulls(len(paths), pa.large_binary())
    except pa.ArrowInvalid:
        raw = paths.to_pylist()
        shown = [path.decode("utf-8", "backslashreplace") for path in raw]
        # A name may hold the very text "\xff": then both are kept apart by their bytes.
        differs = [path if name.encode() != path else None for path, name in zip(raw, shown, strict=True)]
        return pa.array(shown, pa.large_string()), pa.array(differs, pa.large_binary())


def _raw_paths(table: pa.Table) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    raw, shown = table["raw_path"], table["path"].cast(pa.large_binary())
    return pc.coalesce(raw, shown).combine_chunks()
