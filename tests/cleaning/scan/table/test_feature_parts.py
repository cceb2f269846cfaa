"""Parts: the newest word wins, merging changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table import feature_parts
from siamclip.cleaning.scan.table.feature_parts import Features, Rows, merge, write_part
from siamclip.cleaning.scan.table.file_table import known_files, places, text, to_arrow, write_table
from siamclip.cleaning.scan.table.records import FILE_DTYPE, ImageScorer

ONE = ImageScorer("one", "1", {"one": "f8"})
ONE_2 = ImageScorer("one", "2", {"one": "f8"})
TWO = ImageScorer("two", "1", {"two": "(2,)u8", "word": "U"})


def contents(numbers: list[int] | range) -> np.ndarray:
    return np.array([f"{number:032x}".encode() for number in numbers], "S32")


def part(run: RunFolder, number: int, of: list[int] | range, value: float, scorer: ImageScorer = ONE) -> None:
    count = len(of)
    columns: dict[str, np.ndarray] = {"one": np.full(count, value)}
    if scorer is TWO:
        words = np.array([f"w{value}"] * count, object)
        columns = {"two": np.full((count, 2), int(value), np.uint64), "word": words}
    rows = Rows(contents(of), [""] * count, [[]] * count, [""] * count, columns)
    write_part(run.parts / f"features-{number:08}.parquet", rows, [scorer], "")


def test_places_gives_the_first_as_a_loop_would() -> None:
    rng = np.random.default_rng(0)
    among, wanted = rng.integers(0, 50, 200).tolist(), rng.integers(0, 80, 300).tolist()
    expected = [among.index(value) if value in among else -1 for value in wanted]
    assert places(text(contents(wanted)), text(contents(among))).tolist() == expected


def test_the_newest_part_has_the_last_word(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    part(run, 1, [1, 2, 3], 10)
    part(run, 2, [2, 3], 20)
    part(run, 3, [3], 30, ONE_2)
    part(run, 4, [3, 9], 40, TWO)
    features = Features(run, np.append(contents([1, 2, 3, 4]), [b""]))
    assert features.known(ONE).tolist() == [True, True, True, False, False]
    np.testing.assert_array_equal(features.columns(ONE, ["one"])["one"], [10, 20, 20, np.nan, np.nan])
    np.testing.assert_array_equal(features.columns(ONE_2, ["one"])["one"], [np.nan, np.nan, 30, np.nan, np.nan])
    found = features.columns(TWO, ["two", "word"])
    assert found["two"].tolist() == [[0, 0], [0, 0], [40, 40], [0, 0], [0, 0]] and found["two"].dtype == np.uint64
    assert found["word"].tolist() == ["", "", "w40", "", ""]


@pytest.mark.parametrize("killed", [False, True])
def test_merging_changes_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool) -> None:
    run = RunFolder(tmp_path)
    monkeypatch.setattr(feature_parts, "SMALL_PART", 100)
    rng = np.random.default_rng(1)
    for number in range(1, 61):
        scorer = ONE_2 if 25 <= number < 28 else ONE
        part(run, number, rng.choice(40, 5, replace=False).tolist(), number, scorer)
    asked = contents(range(45))
    before = [Features(run, asked).columns(scorer, ["one"])["one"] for scorer in (ONE, ONE_2)]
    if killed:  # after a merged part was written, before the others were removed
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: None)
    merge(run)
    after = [Features(run, asked).columns(scorer, ["one"])["one"] for scorer in (ONE, ONE_2)]
    np.testing.assert_array_equal(before, after)
    names = sorted(path.name for path in run.parts.iterdir())
    # Up to 20 of 5 rows: 1-20, then 21-24 and 25-27, which are too few, then 28-47, then 48-60.
    assert len(names) == (60 if killed else 60 - 19 - 19)
    assert "features-00000020.parquet" in names and "features-00000047.parquet" in names


def test_file_parts_go_over_the_whole_table(tmp_path: Path) -> None:
    import pyarrow as pa

    run = RunFolder(tmp_path)
    for target, sizes in ((run.files, {"a": 1, "b": 1}), (run.parts / "files-00000001.parquet", {"b": 2, "c": 2})):
        status = np.zeros(len(sizes), FILE_DTYPE)
        status["size"] = list(sizes.values())
        paths = pa.array([name.encode() for name in sizes], pa.large_binary())
        write_table(target, to_arrow(paths, status, np.array([""] * len(sizes), object)))
    known = known_files(run)
    assert dict(zip(known.paths.to_pylist(), known.status["size"].tolist(), strict=True)) == {b"a": 1, b"b": 2, b"c": 2}
