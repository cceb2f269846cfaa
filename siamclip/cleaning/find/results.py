"""What `find` leaves in a RUN and the later steps read.

    RUN/findings.parquet, findings.csv   one table for all methods
    RUN/pairs.parquet                    every pair of copies with the evidence of each method
    RUN/class_counts.csv                 photos of each identity, before and after
    RUN/notes.json                       what each method says of itself, what was left out and why, the counts

Paths are text for people and other tools; `raw_path` and `raw_related` hold the bytes of names that are not UTF-8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable
from siamclip.cleaning.duplicates.groups import not_duplicates as remembered
from siamclip.cleaning.find.class_counts import ClassCounts, as_csv
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.file_table import read_table, shown_paths, write_table
from siamclip.cli.yaml_settings import mapping_as_yaml
from siamclip.errors import UserError
from siamclip.files import csv_table
from siamclip.files.atomic import write_atomically

if TYPE_CHECKING:
    import pyarrow as pa

    from siamclip.cleaning.duplicates.groups.not_duplicates import HashPairs

NOTES = ("created", "layout", "photos", "unreadable", "methods", "left_out", "classes")  # of notes.json
CSV_COLUMNS = ("path", "method", "score", "flagged", "reason", "group", "keep", "related", "content")


def findings_table(photos: PhotoTable, findings: Sequence[Findings]) -> pa.Table:
    """path, method, score, flagged, reason, group, keep, related, content (and the raw bytes of paths)."""
    import pyarrow as pa

    text, raw = _paths([*photos.paths, ""])  # the last one is for "no related photo"
    content = pa.array([bytes(one).decode("ascii") for one in photos.content] + [""], pa.large_string())
    rows = _joined([one.rows for one in findings], np.int64)
    related = _joined([one.related for one in findings], np.int64)
    related = np.where(related < 0, len(photos), related)
    methods = [one.method for one in findings]
    method = pa.DictionaryArray.from_arrays(
        np.repeat(np.arange(len(methods), dtype=np.int32), [len(one) for one in findings]),
        pa.array(methods, pa.string()),
    )
    return pa.table(
        {
            "path": text.take(rows),
            "method": method.cast(pa.string()),
            "score": _joined([one.score for one in findings], np.float64),
            "flagged": _joined([one.flagged for one in findings], np.bool_),
            "reason": pa.array([reason for one in findings for reason in one.reason], pa.large_string()),
            "group": _joined([one.group for one in findings], np.int64),
            "keep": _joined([one.keep for one in findings], np.bool_),
            "related": text.take(related),
            "content": content.take(rows),
            "raw_path": raw.take(rows),
            "raw_related": raw.take(related),
        }
    )


def pairs_table(photos: PhotoTable, pairs: Sequence[CopyPairs]) -> pa.Table:
    """method, first, second (paths), distance, inliers (-1: not counted)."""
    import pyarrow as pa

    text, raw = _paths(photos.paths)
    first, second = (_joined([getattr(one, side) for one in pairs], np.int64) for side in ("first", "second"))
    unknown = [np.full(len(one), -1, np.int32) if one.inliers is None else one.inliers for one in pairs]
    return pa.table(
        {
            "method": pa.array([one.method for one in pairs for _ in range(len(one))], pa.string()),
            "first": text.take(first),
            "second": text.take(second),
            "distance": _joined([one.distance for one in pairs], np.float32),
            "inliers": _joined(unknown, np.int32),
            "raw_first": raw.take(first),
            "raw_second": raw.take(second),
        }
    )


def write_results(
    run: RunFolder,
    photos: PhotoTable,
    findings: Sequence[Findings],
    pairs: Sequence[CopyPairs],
    counts: ClassCounts,
    notes: Mapping[str, Any],
) -> None:
    """All of them, `notes` last: a run without it is one whose `find` did not end. Raises UserError."""
    try:
        run.notes.unlink(missing_ok=True)
        table = findings_table(photos, findings)
        write_table(run.findings, table)
        write_table(run.pairs, pairs_table(photos, pairs))
        rows = zip(*(table[name].to_pylist() for name in CSV_COLUMNS), strict=True)
        write_atomically(run.findings_csv, csv_table.as_csv(CSV_COLUMNS, rows))
        write_atomically(run.class_counts, as_csv(counts))
        text = json.dumps({**notes, "classes": counts.rows()}, ensure_ascii=False, indent=1, default=_plain)
        write_atomically(run.notes, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(
            f"{run}: the findings cannot be written ({error.strerror}); make room, then find again"
        ) from None


@contextmanager
def readable_results(path: Path) -> Iterator[None]:
    """A file of the last find that is damaged, or not there, is a UserError that says what helps."""
    from pyarrow import ArrowException
    from yaml import YAMLError

    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArrowException, YAMLError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({why}); run find again") from None


def write_settings(run: RunFolder, settings: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> None:
    """The settings of a find, and of each of its methods, as a YAML file that --config reads back."""
    given = {method: values for method, values in methods.items() if values}
    write_atomically(run.settings, mapping_as_yaml({**settings, "set": given}).encode("utf-8", "backslashreplace"))


def effective_threshold(run: RunFolder, method: str) -> float | None:
    """The threshold that the last find of this run had for a method; None where it did not run."""
    import yaml

    if not run.settings.exists():
        return None
    with readable_results(run.settings):
        value = yaml.safe_load(run.settings.read_text("utf-8"))["set"].get(method, {}).get("threshold")
        return None if value is None else float(value)


def known_not_duplicates(run: RunFolder, given: str | None) -> HashPairs:
    """What was judged in this run, and in the file of another, which this run remembers from now on.

    Raises UserError for a file that is not there.
    """
    if given is None:
        return remembered.read_not_duplicates(run.not_duplicates)
    if not Path(given).is_file():
        raise UserError(f"--not_duplicates {given}: no such file; it is not_duplicates.json in the folder of a run")
    return remembered.remember_not_duplicates(run.not_duplicates, remembered.read_not_duplicates(Path(given)))


def read_notes(run: RunFolder) -> dict[str, Any]:
    """Raises UserError where `find` has not run to its end."""
    if not run.notes.exists():
        raise UserError(f"{run}: has no findings yet; run python clean.py find {run}")
    with readable_results(run.notes):
        notes: dict[str, Any] = json.loads(run.notes.read_bytes())
        if missing := [name for name in NOTES if name not in notes]:
            raise ValueError(f"it has no {missing[0]!r}")
        for key in ("methods", "left_out"):
            notes[key] = {_todays_name(name): value for name, value in notes[key].items()}
    return notes


def read_findings(run: RunFolder) -> dict[str, list[Any]]:
    """Column -> values; path and related as bytes, as the file system has them."""
    with readable_results(run.findings):
        table = read_table(run.findings)
        columns = {name: table[name].to_pylist() for name in CSV_COLUMNS if name not in ("path", "related")}
        columns["method"] = [_todays_name(name) for name in columns["method"]]
        return {"path": _bytes(table, "path"), "related": _bytes(table, "related"), **columns}


def read_pairs(run: RunFolder) -> dict[str, Any]:
    """Column -> values; first and second as bytes."""
    with readable_results(run.pairs):
        table = read_table(run.pairs)
        return {
            "method": table["method"].to_pylist(),
            "first": _bytes(table, "first"),
            "second": _bytes(table, "second"),
            "distance": table["distance"].to_numpy(),
            "inliers": table["inliers"].to_numpy(),
        }


def _todays_name(method: str) -> str:
    """A run of an earlier version has the names that methods had then."""
    return METHODS[method].name if method in METHODS else method


def _paths(paths: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    import pyarrow as pa

    return shown_paths(pa.array([os.fsencode(path) for path in paths], pa.large_binary()))


def _bytes(table: pa.Table, name: str) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: list[bytes] = pc.coalesce(table[f"raw_{name}"], table[name].cast(pa.large_binary())).to_pylist()
    return found


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON")
