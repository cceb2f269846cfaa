"""A scan reads what is new, and survives every file."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.method_table import Scorer
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.scan import scan_collection
from siamclip.cleaning.scan.table.file_table import read_skipped
from siamclip.cleaning.scan.table.photo_table import open_photos
from siamclip.data.image.decode import content_hash, decode
from siamclip.errors import ImageError, UserError
from tests.cleaning.scanned_folders import number_of, photo, photos, scanned
from tests.cleaning.tiny_scorers import CALLS, DEADLY, DEADLY_SCORER, KINDS, MEAN, MEAN_2, ODD, ODD_WIDTH, Brightest
from tests.hostile import READABLE, UNREADABLE


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one line for every photo that the scorer `mean` saw since it was last removed."""
    file = tmp_path / "calls"
    monkeypatch.setenv(CALLS, str(file))
    return file


def test_every_value_arrives_and_the_parts_are_ordinary_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    paths = photos(tmp_path / "data", 5)
    photo(tmp_path / "data" / "wide.png", (0, 0, 200), width=300, height=2)
    run = tmp_path / "run"
    stateful = {"b": (Brightest(2, "x"), {"brightest": "f8"})}
    summary = scanned(tmp_path / "data", run, MEAN, KINDS, extra_scorers=stateful)
    assert (summary.files, summary.read, summary.unreadable) == (6, 6, 0)
    table = open_photos(run)
    files = [*paths, tmp_path / "data" / "wide.png"]
    assert [table.file(i) for i in range(6)] == [file.resolve() for file in files]
    assert table.content.tolist() == [content_hash(file).encode() for file in files]
    assert table.bytes.tolist() == [file.stat().st_size for file in files]
    assert table.errors == [""] * 6 and table.readable.all()
    widths = [20] * 5 + [300]
    expected = {
        "mean": [decode(file).mean() for file in files],
        "four": [[2**63 + width + i for i in range(4)] for width in widths],
        "name": ["PNG"] * 6,
        "hash": [f"{width:032x}".encode() for width in widths],
        "wide": [True] * 6,
        "width": widths,
        "small": [3] * 6,
        "share": np.array(widths, np.float32) / np.float32(1000),
        "brightest": [198] * 5 + [400],
    }
    dtypes = MEAN.columns | KINDS.columns | {"brightest": "f8"}
    assert table.columns.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(table.columns[name], values, err_msg=name)
        assert table.columns[name].dtype.kind == np.dtype(dtypes[name]).base.kind
    features = pq.read_table(run / "scan" / "parts")  # as pandas and DuckDB would
    by_content = {row["content"]: row for row in features.to_pylist()}
    listed = pq.read_table(run / "scan" / "files.parquet").to_pylist()
    assert [row["path"] for row in listed] == table.paths
    assert [by_content[row["content"]]["four"] for row in listed] == expected["four"]
    assert [by_content[row["content"]]["hash"].encode() for row in listed] == expected["hash"]


def test_only_what_is_new_or_changed_is_read(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    paths = photos(data, 12)
    photo(paths[1], (1, 0, 99), format_="BMP")
    first = scanned(data, run)
    assert (first.files, first.read, first.unchanged, number_of(calls)) == (12, 12, 0, 12)
    again = scanned(data, run)
    assert (again.files, again.read, again.unchanged, number_of(calls)) == (12, 0, 12, 0)
    photo(paths[0], (200, 0, 0), width=21)  # changed
    status = paths[1].stat()  # changed, but for size and time: another file stands there
    photo(data / "other.tmp", (201, 0, 0), format_="BMP")
    assert (data / "other.tmp").stat().st_size == status.st_size
    os.utime(data / "other.tmp", ns=(status.st_atime_ns, status.st_mtime_ns))
    (data / "other.tmp").replace(paths[1])
    paths[2].unlink()  # gone
    (data / "renamed").mkdir()
    paths[3].rename(data / "renamed" / "3.png")  # moved
    paths[4].rename(paths[5])  # moved over another one, which is gone
    photo(data / "new.png", (202, 0, 0))
    third = scanned(data, run)
    assert (third.files, third.read, third.moved, third.gone) == (11, 4, 1, 2)
    # paths[5] has a new content, known from the gone paths[4]: read, for it is another file, but not decoded.
    assert number_of(calls) == 3
    table = open_photos(run)
    assert (table.columns["mean"] == [decode(table.file(i)).mean() for i in range(11)]).all()


def test_copies_and_moves_between_file_systems_are_read_and_not_decoded(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    paths = photos(data, 6)
    scanned(data, run)
    number_of(calls)
    shutil.copy(paths[0], data / "moved.png")  # a move to another inode and time
    paths[0].unlink()
    shutil.copy(paths[1], data / "copy.png")
    summary = scanned(data, run)
    assert (summary.files, summary.read, summary.moved, summary.gone, number_of(calls)) == (7, 2, 1, 0, 0)
    table = open_photos(run)
    assert (table.columns["mean"] == [decode(table.file(i)).mean() for i in range(7)]).all()


def test_a_new_scorer_and_a_raised_version_compute_only_that_one(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 4)
    scanned(data, run)
    number_of(calls)
    summary = scanned(data, run, MEAN, KINDS)
    assert (summary.read, summary.unchanged, number_of(calls)) == (4, 0, 0)
    assert {"mean", "share"} <= open_photos(run).columns.keys()
    photo(data / "new.png", (222, 0, 0))
    summary = scanned(data, run, MEAN_2, KINDS)
    assert (summary.read, number_of(calls)) == (5, 5)
    summary = scanned(data, run, MEAN_2, KINDS)
    assert (summary.read, number_of(calls)) == (0, 0)
    table = open_photos(run)
    assert (table.columns["mean"] == [decode(table.file(i)).mean() for i in range(5)]).all()
    assert (table.columns["width"] == 20).all()
    brightest = {"b": (Brightest(1, "first"), {"brightest": "f8"})}
    assert scanned(data, run, MEAN_2, extra_scorers=brightest).read == 5
    assert scanned(data, run, MEAN_2, extra_scorers=brightest).read == 0
    other = {"b": (Brightest(3, "second"), {"brightest": "f8"})}
    assert scanned(data, run, MEAN_2, extra_scorers=other).read == 5
    assert open_photos(run).columns["brightest"].tolist() == [297] * 4 + [666]


def test_reread_takes_nothing_for_known(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 4)
    scanned(data, run)
    number_of(calls)
    summary = scanned(data, run, reread=True)
    assert (summary.read, summary.unchanged, summary.moved, summary.gone, number_of(calls)) == (4, 0, 0, 0, 4)


def test_hostile_files_are_recorded_once(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    reasons = {}
    for factory in UNREADABLE.values():
        path = factory(data)
        if path.is_file():
            with pytest.raises(ImageError) as error:
                decode(path)
            reasons[path.name] = error.value.reason
    readable = [factory(data).name for factory in READABLE.values()]
    assert len(reasons) >= 10 and len(readable) >= 20
    for _ in range(2):
        summary = scanned(data, run, MEAN, KINDS)
        assert (summary.files, summary.unreadable) == (len(reasons) + len(readable), len(reasons))
    assert summary.read == 0 and number_of(calls) == len(readable)
    table = open_photos(run)
    assert dict(zip(table.paths, table.errors, strict=True)) == reasons | dict.fromkeys(readable, "")
    broken = ~table.readable
    assert np.isnan(table.columns["mean"][broken]).all() and not table.columns["width"][broken].any()
    assert set(table.columns["name"][broken]) == {""} and not table.columns["four"][broken].any()
    assert (table.content != b"").all()
    assert read_skipped(RunFolder(run)) == [("loop.jpg", "a link")]
    # A new scorer has nothing to look for in them.
    assert scanned(data, run, MEAN, KINDS, ODD).read == len(readable)


def test_names_survive_the_tables(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    odd = ["two\nlines.png", "n" * 251 + ".png", "京A12345.png", "\\xff.png", "tab\t.PNG"]
    odd += [os.fsdecode(b"\xff\xfe.png")] if os.name != "nt" else []
    for i, name in enumerate(odd):
        photo(data / "plate\n1" / name, (i, 0, 0))
    scanned(data, run)
    assert scanned(data, run).unchanged == len(odd)
    table = open_photos(run)
    assert sorted(table.paths) == sorted(f"plate\n1/{name}" for name in odd)
    assert all(table.file(i).exists() for i in range(len(odd))) and table.identities == ["plate\n1"]
    assert table.columns["mean"].tolist() == [decode(table.file(i)).mean() for i in range(len(odd))]


def test_a_process_that_dies_costs_one_file(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    paths = photos(data, 40)
    for i in (5, 6, 30):
        photo(paths[i], DEADLY)
    photo(data / "odd.png", (1, 2, 3), width=ODD_WIDTH)
    summary = scanned(data, run, DEADLY_SCORER, ODD, workers=2)
    assert (summary.files, summary.unreadable) == (41, 4)
    table = open_photos(run)
    errors = dict(zip(table.paths, table.errors, strict=True))
    assert {path: error for path, error in errors.items() if error} == {
        **{f"{i // 3}/{i}.png": "the decoder died (exit code 9)" for i in (5, 6, 30)},
        "odd.png": "odd failed: ZeroDivisionError: thirteen",
    }
    assert (table.columns["alive"][table.readable] == 1).all()
    again = scanned(data, run, DEADLY_SCORER, ODD, workers=2)
    assert (again.read, again.unreadable) == (0, 4)  # neither dies a second time


def test_a_scorer_that_cannot_be_loaded_is_a_defect(tmp_path: Path) -> None:
    photos(tmp_path / "data", 2)
    missing = Scorer("missing", "tests.cleaning.tiny_scorers:nothing", {"nothing": "f8"})
    with pytest.raises(RuntimeError, match="has no attribute 'nothing'"):
        scanned(tmp_path / "data", tmp_path / "run", missing)


def test_what_the_user_gave_wrong(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    with pytest.raises(UserError, match="no such folder"):
        scanned(data, run)
    data.mkdir()
    (data / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds no photos \(1 other files"):
        scanned(data, run)
    assert not run.exists()  # nothing was bound to the wrong folder
    photos(data, 1)
    with pytest.raises(UserError, match="nonsense: no such scorer"):
        scan_collection(data, run, scorers=["nonsense"])
    with RunFolder(run).lock("apply"), pytest.raises(UserError, match="in use by"):
        scanned(data, run)
    scanned(data, run)
    photos(tmp_path / "other", 1)
    with pytest.raises(UserError, match="holds the scan of"):
        scanned(tmp_path / "other", run)


def test_a_run_folder_inside_the_collection(tmp_path: Path) -> None:
    photos(tmp_path, 3)
    photo(tmp_path / "run" / "quarantine" / "0" / "x.png", (1, 1, 1))
    for _ in range(2):
        scanned(tmp_path, tmp_path / "run")
    assert len(open_photos(tmp_path / "run")) == 3


def _changed(data: Path, chance: random.Random, step: int) -> None:
    """A few random changes of every sort."""
    for i in range(6):
        files = sorted(path for path in data.rglob("*.png") if path.is_file())
        one, other = chance.choice(files), chance.choice(files)
        new = data / chance.choice("abc") / f"{step}-{i}.png"
        new.parent.mkdir(exist_ok=True)
        action = chance.randrange(6)
        if action == 0 and len(files) > 3:
            one.unlink()
        elif action == 1:
            one.rename(new)
        elif action == 2:
            shutil.copy(one, new)
        elif action == 3:
            photo(one, (chance.randrange(256), 0, step))
        elif action == 4:
            one.write_bytes(other.read_bytes()[: chance.choice((0, 30, 1000))])
        else:
            new.hardlink_to(one)


def _same(one: PhotoTable, other: PhotoTable) -> None:
    for field in dataclasses.fields(PhotoTable):
        if field.name != "columns":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), err_msg=field.name)
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        np.testing.assert_array_equal(column, other.columns[name], err_msg=name)


@pytest.mark.slow
def test_many_scans_end_where_one_does(tmp_path: Path) -> None:
    """Whatever happened in between, the table is that of a first scan."""
    data, chance = tmp_path / "data", random.Random(7)
    photos(data, 12)
    choices: Sequence[tuple[Scorer, ...]] = ((MEAN,), (MEAN, KINDS), (KINDS,), (MEAN, KINDS))
    for step, scorers in enumerate(choices):
        scanned(data, tmp_path / "run", *scorers)
        _changed(data, chance, step)
    scanned(data, tmp_path / "run", *choices[-1])
    scanned(data, tmp_path / "fresh", *choices[-1])
    _same(open_photos(tmp_path / "run"), open_photos(tmp_path / "fresh"))
