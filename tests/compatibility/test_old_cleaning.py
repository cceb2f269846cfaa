"""Runs of clean.py, decisions and settings of an earlier version still load: see README.md."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compatibility.artefacts import CPU, Script, files, read, rows

# A method may have a new name; the old one must go on working as an alias.
NEW_NAMES = {"wrong_label": "label_errors", "label_errors": "label_errors"}
COPY, BLURRED, DULL, TORN = "京JD79683/000.jpg", "京JD79683/blurred.jpg", "晋KF56729/000.jpg", "津C9JA15/torn.jpg"
DECIDED = "粤EF36045/002.jpg"


def today(method: str) -> str:
    return NEW_NAMES.get(method, method)


def found_by(rows: list[dict[str, str]]) -> list[tuple[str, ...]]:
    """What does not depend on a processor's last digits."""
    columns = ("path", "flagged", "keep", "related", "content")
    return sorted((today(row["method"]), *(row[name] for name in columns)) for row in rows)


def flagged(run: str, method: str) -> set[str]:
    found = rows(f"{run}/findings.csv")
    return {row["path"] for row in found if today(row["method"]) == today(method) and row["flagged"] == "True"}


def removed(run: str) -> set[str]:
    return {row["path"] for row in rows(f"{run}/findings.csv") if row["keep"] == "False"}


def data_of(page: str) -> Any:
    """What a report page shows."""
    match = re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', page, re.S)
    assert match is not None
    return json.loads(match[1])


# -- scan, find, report -----------------------------------------------------------------------------------------------


def as_scanned_here(run: str) -> None:
    """Give the run's table the times and numbers that this file system gave the photos; all else stays."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(run, "scan/files.parquet")
    table = pq.read_table(file)
    stats = [Path("photos", path).stat() for path in table["path"].to_pylist()]
    values: dict[str, Callable[[Any], int]] = {"mtime_ns": lambda s: s.st_mtime_ns, "inode": lambda s: s.st_ino}
    for name, value in values.items():
        place = table.schema.get_field_index(name)
        kind = table.schema.field(place).type
        column = pa.array(np.array([value(stat) for stat in stats]).astype(kind.to_pandas_dtype()), kind)
        table = table.set_column(place, table.schema.field(place), column)
    pq.write_table(table, file)


def test_a_second_scan_reads_nothing_anew(old: Path, run: Script) -> None:
    as_scanned_here("found")
    before = files("found/scan/parts") | files("found/scan/embeddings")
    printed = run("clean.py", "scan", "photos", "--out", "found", "--embedder", "old", "--processes", "1", *CPU)
    assert "31 photos: 0 read, 31 unchanged, 0 moved, 0 gone" in printed
    assert files("found/scan/parts") | files("found/scan/embeddings") == before


def test_a_copied_collection_is_scored_by_its_contents(old: Path, run: Script) -> None:
    """Other times, other inodes: the bytes are read to know the photos again, and nothing is computed anew."""
    before = files("found/scan/parts") | files("found/scan/embeddings")
    printed = run("clean.py", "scan", "photos", "--out", "found", "--embedder", "old", "--processes", "1", *CPU)
    assert "31 photos: 31 read, 0 unchanged, 0 moved, 0 gone" in printed
    assert files("found/scan/parts") | files("found/scan/embeddings") == before


def test_find_finds_the_same(old: Path, run: Script) -> None:
    was, notes = rows("found/findings.csv"), read("found/notes.json")
    assert len(was) == 46
    assert {"wrong_label", "dbscan", "knn", "label_conflict"} <= {row["method"] for row in was}
    run("clean.py", "find", "found", "--config", "clean.yaml")
    assert found_by(rows("found/findings.csv")) == found_by(was)
    assert removed("found") == {COPY, BLURRED, DULL, TORN}
    assert flagged("found", "laplacian") == {BLURRED, DULL, "晋KF56729/001.jpg"}
    now = read("found/notes.json")
    for name in ("layout", "photos", "unreadable", "to remove", "embedder", "classes", "left_out"):
        assert now[name] == notes[name], name
    assert {today(name) for name in now["methods"]} == {today(name) for name in notes["methods"]}


def test_old_names_of_methods(old: Path, run: Script) -> None:
    was = {method: flagged("found", method) for method in ("wrong_label", "knn", "dbscan")}
    assert all(was.values())
    names = ("default", "strangers", "labels", "wrong_label", "cloned_plate", "dbscan")
    find = ("clean.py", "find", "found", "--methods", *names, "--set", "laplacian.threshold=40")
    run(*find, "wrong_label.deviations=2.5")
    assert {method: flagged("found", method) for method in was} == was
    run(*find, "wrong_label.deviations=50")
    assert {method: flagged("found", method) for method in was} == was | {"wrong_label": set()}


def test_the_report_of_old_findings(old: Path, run: Script) -> None:
    was = rows("found/findings.csv")
    assert "31 photos" in run("clean.py", "report", "found")
    data = data_of(Path("found/report.html").read_text("utf-8"))
    findings, photos = data["findings"], data["photos"]["path"]
    shown = zip(findings["photo"], findings["method"], findings["keep"], strict=True)
    assert sorted((photos[p], today(findings["methods"][m]), bool(keep)) for p, m, keep in shown) == sorted(
        (row["path"], today(row["method"]), row["keep"] == "True") for row in was
    )
    assert data["run"].startswith(f"{old / 'photos'} ")


# -- decisions, apply, undo -------------------------------------------------------------------------------------------


def test_old_findings_are_applied_and_undone(old: Path, run: Script) -> None:
    before = files("photos")
    assert "京JD79683/blurred.jpg: blurred" in run("clean.py", "apply", "found")
    assert files("photos") == before
    assert "4 photos moved" in run("clean.py", "apply", "found", "--yes")
    assert before.keys() - files("photos").keys() == {COPY, BLURRED, DULL, TORN}
    assert "4 photos are back" in run("clean.py", "undo", "found")
    assert files("photos") == before


@pytest.mark.parametrize(
    ("methods", "moved"), [(("sharpness", "wrong_label"), {BLURRED, DULL}), (("strangers", "unreadable"), {TORN})]
)
def test_old_names_in_apply(old: Path, run: Script, methods: tuple[str, ...], moved: set[str]) -> None:
    before = files("photos")
    run("clean.py", "apply", "found", "--yes", "--methods", *methods)
    assert before.keys() - files("photos").keys() == moved


def test_old_decisions_win_over_the_findings(old: Path, run: Script) -> None:
    before = files("photos")
    decisions = read("decisions.json")
    assert [photo["keep"] for photo in decisions["photos"]] == [True, True, False]
    printed = run("clean.py", "apply", "found", "--yes", "--decisions", "decisions.json")
    assert f"{DECIDED}: removed by a decision" in printed
    assert before.keys() - files("photos").keys() == {DECIDED, DULL, TORN}
    assert read("found/not_duplicates.json") == read("not_duplicates.json")
    assert read("found/not_duplicates.json")["not_duplicates"] == decisions["not_duplicates"]


@pytest.mark.parametrize("given", ["in the run", "of another run"])
def test_what_was_judged_no_duplicate_is_remembered(old: Path, run: Script, given: str) -> None:
    assert COPY in removed("found")
    if given == "in the run":
        shutil.copy("not_duplicates.json", "found/not_duplicates.json")
        run("clean.py", "find", "found", "--config", "clean.yaml")
    else:
        run("clean.py", "find", "found", "--config", "clean.yaml", "--not_duplicates", "not_duplicates.json")
    assert removed("found") == {BLURRED, DULL, TORN}
    assert read("found/not_duplicates.json") == read("not_duplicates.json")


def test_what_was_moved_comes_back(old: Path, run: Script) -> None:
    whole, moved = files("photos"), files("applied/quarantine")
    assert moved.keys() == {COPY, BLURRED, DULL, TORN}
    for path in moved:
        Path("photos", path).unlink()
    assert "4 photos are back" in run("clean.py", "undo", "applied")
    assert files("photos") == whole
    assert files("applied/quarantine") == {}
