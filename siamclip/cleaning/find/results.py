"""What `find` leaves in a RUN and the later steps read.

    RUN/findings.parquet, findings.csv   one table for all methods
    RUN/pairs.parquet                    every pair of copies with the evidence of each method
    RUN/class_counts.csv                 photos of each identity, before and after
    RUN/groups.csv                       which photos are copies of each other, for a split that keeps them together
    RUN/leaks.csv                        photos to move, so that no copies lie on two sides of a split
    RUN/settings.yaml                    the settings, as a command takes them again
    RUN/notes.json                       what each method says of itself, what was left out and why, the counts

Paths are text for people and other tools; `raw_path` and `raw_related` hold the bytes of names that are not UTF-8.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable
from siamclip.cleaning.find.leaks import SIDES
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.file_table import read_table, shown_paths, write_table
from siamclip.cli.yaml_settings import mapping_as_yaml
from siamclip.data.duplicate_groups import COLUMNS as GROUP_COLUMNS
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically
from siamclip.files.csv_table import as_csv

if TYPE_CHECKING:
    import pyarrow as pa

    from siamclip.cleaning.find.decide import ClassCounts, RemovalDecision
    from siamclip.cleaning.find.leaks import SplitRepair

NOTES = ("created", "layout", "photos", "unreadable", "methods", "left_out", "classes")  # of notes.json
Columns: TypeAlias = "pa.Table | Mapping[str, Sequence[Any] | np.ndarray]"  # by their names
CSV_COLUMNS = ("path", "method", "score", "flagged", "reason", "group", "keep", "related", "content")


def _findings_table(photos: PhotoTable, findings: Sequence[Findings]) -> pa.Table:
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


def _pairs_table(photos: PhotoTable, pairs: Sequence[CopyPairs]) -> pa.Table:
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
    decision: RemovalDecision,
    repair: SplitRepair | None,
    notes: Mapping[str, Any],
    settings: Mapping[str, Any],
    of_methods: Mapping[str, Mapping[str, Any]],
) -> None:
    """All of them, `notes` last: a run without it is one whose `find` did not end. Raises UserError.

    `repair`: of a split with leaks, None where there is no split. `settings`, `of_methods`: what settings.yaml says.
    """
    try:
        run.notes.unlink(missing_ok=True)
        table = _findings_table(photos, findings)
        write_table(run.findings, table)
        write_table(run.pairs, _pairs_table(photos, pairs))
        rows = zip(*(table[name].to_pylist() for name in CSV_COLUMNS), strict=True)
        write_atomically(run.findings_csv, as_csv(CSV_COLUMNS, rows))
        write_atomically(run.class_counts, class_counts_csv(decision.counts))
        write_atomically(run.groups, groups_csv(photos, decision.split_group))
        if repair is None:
            run.leaks.unlink(missing_ok=True)
        else:
            write_atomically(run.leaks, leaks_csv(photos, repair))
        given = {method: values for method, values in of_methods.items() if values}
        text = mapping_as_yaml({**settings, "set": given})
        write_atomically(run.settings, text.encode("utf-8", "backslashreplace"))
        text = json.dumps({**notes, "classes": decision.counts.rows()}, ensure_ascii=False, indent=1, default=_plain)
        write_atomically(run.notes, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError(
            "", f"{run}: the findings cannot be written ({error.strerror})", "make room, then find again"
        ) from None


def class_counts_csv(counts: ClassCounts) -> bytes:
    """identity,before,after."""
    return as_csv(("identity", "before", "after"), counts.rows())


def groups_csv(photos: PhotoTable, group: np.ndarray) -> bytes:
    """path,group of the photos whose number in `group` (N,) several have, by group; photos of an archive in none."""
    rows = np.flatnonzero(~photos.is_archived)
    _, number, size = np.unique(group[rows], return_inverse=True, return_counts=True)
    rows = rows[size[number] > 1]
    numbers = np.unique(group[rows], return_inverse=True)[1]
    order = np.argsort(numbers, kind="stable")
    return as_csv(GROUP_COLUMNS, ((photos.paths[rows[i]], int(numbers[i])) for i in order))


def leaks_csv(photos: PhotoTable, repair: SplitRepair) -> bytes:
    """path,group,side,move_to of the photos to move."""
    columns = (repair.rows, repair.group, repair.side, repair.move_to)
    moves = zip(*(column.tolist() for column in columns), strict=True)
    rows = ((photos.paths[row], group, SIDES[side], SIDES[to]) for row, group, side, to in moves)
    return as_csv(("path", "group", "side", "move_to"), rows)


@contextmanager
def readable_results(path: Path) -> Iterator[None]:
    """A file of the last find that is damaged, or not there, is a UserError that says what helps."""
    from pyarrow import ArrowException
    from yaml import YAMLError

    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArrowException, YAMLError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError("", f"{path}: cannot be read ({why})", "run find again") from None


def effective_threshold(run: RunFolder, method: str) -> float | None:
    """The threshold that the last find of this run had for a method; None where it did not run."""
    import yaml

    if not run.settings.exists():
        return None
    with readable_results(run.settings):
        value = yaml.safe_load(run.settings.read_text("utf-8"))["set"].get(method, {}).get("threshold")
        return None if value is None else float(value)


def read_notes(run: RunFolder) -> dict[str, Any]:
    """Raises UserError where `find` has not run to its end."""
    if not run.notes.exists():
        raise UserError("", f"{run}: has no findings yet", f"run python clean.py find {run}")
    with readable_results(run.notes):
        notes: dict[str, Any] = json.loads(run.notes.read_bytes())
        if missing := [name for name in NOTES if name not in notes]:
            raise ValueError(f"it has no {missing[0]!r}")
        for key in ("methods", "left_out"):
            notes[key] = {_present_name(name): value for name, value in notes[key].items()}
    return notes


def read_findings(run: RunFolder) -> dict[str, list[Any]]:
    """Column -> values; path and related as bytes, as the file system has them."""
    with readable_results(run.findings):
        table = read_table(run.findings)
        columns = {name: table[name].to_pylist() for name in CSV_COLUMNS if name not in ("path", "related")}
        columns["method"] = [_present_name(name) for name in columns["method"]]
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


def _present_name(method: str) -> str:
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
