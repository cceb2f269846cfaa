"""manifest.csv and manifest.parquet: a row for every image that was made, kept or rejected.

Both hold the same rows in the order of their paths. In Parquet a name that is no UTF-8 is written with escapes, and its
bytes stand in raw_<column>. In the CSV the cells that a spreadsheet would take for a formula (=, +, -, @) begin with an
apostrophe, as do those that begin with one: leave the first apostrophe of a cell out. A score that is empty (null in
Parquet) was not measured.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from siamclip.augmentation.contracts import MadeImage
from siamclip.errors import UserError
from siamclip.files.atomic import draft_of

if TYPE_CHECKING:
    import pyarrow as pa

CSV_NAME, PARQUET_NAME = "manifest.csv", "manifest.parquet"
COLUMNS = (
    *("path", "method", "first", "second", "ratio", "similarity"),
    *("soft_label", "seed", "model", "rejected", "settings"),
)
GATE = "gate_"  # begins the names of the gate's columns
_NAMES = ("path", "first", "second")
_NUMBERS: Mapping[str, Callable[[Any], Any]] = {"ratio": float, "similarity": float, "seed": int}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_ROWS = 4096  # in memory at once


def as_record(image: MadeImage) -> dict[str, Any]:
    """Column -> value, with soft_label and settings as JSON text, and a column for each score."""
    record = {name: getattr(image, name) for name in COLUMNS}
    for name in ("soft_label", "settings"):
        record[name] = json_text(record[name])
    return record | {GATE + name: score for name, score in image.scores.items()}


def from_record(record: Mapping[str, Any]) -> MadeImage:
    """The inverse; scores that are None or NaN were not measured. Raises KeyError, TypeError, ValueError for damage."""
    values = {name: _NUMBERS.get(name, _text)(record[name]) for name in COLUMNS}
    for name in ("soft_label", "settings"):
        values[name] = json.loads(values[name])
        if not isinstance(values[name], dict):
            raise ValueError(f"{name} is {record[name]!r}")
    shares = values["soft_label"].values()
    if not all(share > 0 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"the shares of {values['path']!r} are {record['soft_label']}")
    path = PurePosixPath(values["path"])
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"the path {values['path']!r} leaves the folder")
    scores = {name.removeprefix(GATE): float(score) for name, score in record.items() if _is_score(name, score)}
    return MadeImage(**values, scores=scores)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a text should")
    return value


def json_text(value: Mapping[str, object]) -> str:
    """Readable in any language, and UTF-8: of lone surrogates, the escapes."""
    text = json.dumps(dict(value), ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _is_score(name: str, score: Any) -> bool:
    return name.startswith(GATE) and score not in (None, "") and not math.isnan(float(score))


# -- writing ----------------------------------------------------------------------------------------------------------


def write_manifest(folder: Path, images: Callable[[], Iterable[MadeImage]], scores: Sequence[str]) -> None:
    """Both files, each replaced in one step. `images` gives the rows in their order and is called once for each file;
    `scores`: the names of all the gate's scores. Memory holds a few thousand rows at a time. Raises OSError."""
    columns = [*COLUMNS, *(GATE + name for name in scores)]
    with draft_of(folder / CSV_NAME) as draft:
        _write_csv(draft, columns, map(as_record, images()))
    with draft_of(folder / PARQUET_NAME) as draft:
        _write_parquet(draft, columns, map(as_record, images()))


def _write_csv(path: Path, columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
    # The byte order mark is for Excel, which shows Chinese names as noise without it; lines end in CR LF, without which
    # the csv module leaves a CR inside a name unquoted.
    with path.open("w", encoding="utf-8-sig", errors=sys.getfilesystemencodeerrors(), newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for record in records:
            writer.writerow([_cell(record.get(name)) for name in columns])


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None or math.isnan(value) else value


def _write_parquet(path: Path, columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from siamclip.cleaning.scan.table.file_table import shown_paths

    floats = {name: pa.float64() for name in columns if name in _NUMBERS or name.startswith(GATE)}
    kinds = floats | {"seed": pa.int64()}
    fields = [(name, kinds.get(name, pa.large_string())) for name in columns]
    schema = pa.schema([*fields, *((f"raw_{name}", pa.large_binary()) for name in _NAMES)])
    rows = iter(records)
    with pq.ParquetWriter(path, schema) as writer:
        while block := list(islice(rows, _ROWS)):
            table: dict[str, pa.Array] = {}
            for name, kind in fields:
                values: list[Any] = [row.get(name) for row in block]
                if name in _NAMES:
                    raw = pa.array([os.fsencode(value) for value in values], pa.large_binary())
                    table[name], table[f"raw_{name}"] = shown_paths(raw)
                else:
                    table[name] = pa.array(values, kind)
            writer.write_table(pa.table(table, schema=schema))


# -- reading ----------------------------------------------------------------------------------------------------------


def read_manifest(folder: Path) -> list[MadeImage]:
    """The rows of manifest.parquet in an output folder, or of manifest.csv where that alone is there.

    Raises UserError where there is none, or none that can be used.
    """
    for name, read in ((PARQUET_NAME, _parquet_records), (CSV_NAME, _csv_records)):
        path = folder / name
        if path.is_file():
            try:
                return [from_record(record) for record in read(path)]
            except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
                why = f"it has no column {error}" if isinstance(error, KeyError) else str(error)
                remedy = "run the augment.py command again, which writes it anew"
                raise UserError("", f"{path}: cannot be used ({why})", remedy) from None
    problem = f"{folder}: holds no {PARQUET_NAME} and no {CSV_NAME}"
    raise UserError("", problem, "give what augment.py wrote as `output_dir`")


def _parquet_records(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(_ROWS):
        for record in batch.to_pylist():
            names = {name: os.fsdecode(raw) for name in _NAMES if (raw := record[f"raw_{name}"]) is not None}
            yield record | names


def _csv_records(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", errors=sys.getfilesystemencodeerrors(), newline="") as file:
        for row in csv.DictReader(file, strict=True):
            if None in row or None in row.values():
                raise ValueError("a row has more or fewer cells than the first line names")
            cells = {name: cell.removeprefix("'") for name, cell in row.items()}
            yield cells | {"similarity": cells["similarity"] or "nan"}
