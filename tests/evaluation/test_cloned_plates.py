"""Cloned plates: which rows count, and what is said about the others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from siamclip.errors import UserError
from siamclip.evaluation.cloned_plates import judge_clones, pairs_by_plate, read_cloned_pairs
from siamclip.evaluation.measure import Protocol

PATHS = ["京A1/0.jpg", "京A1/1.jpg", "京A1~2/0.jpg", "京A1~2/1.jpg"]
LABELS = np.array([0, 0, 1, 1])


def table(folder: Path, *rows: str, header: str = "path_a,path_b,same,plate") -> Path:
    file = folder / "pairs.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_rows_become_pairs_with_either_separator(tmp_path: Path) -> None:
    file = table(tmp_path, r"京A1\0.jpg,京A1~2\1.jpg,0,京A1", "京A1/0.jpg,./京A1/1.jpg,True,京A1")
    found = read_cloned_pairs(file, tmp_path, PATHS, LABELS)
    rows = list(zip(found.pairs.first, found.pairs.second, found.pairs.same, strict=True))
    assert rows == [(0, 3, False), (0, 1, True)]
    assert found.plates.tolist() == ["京A1", "京A1"]
    assert (found.missing, found.outside, found.one_folder) == ([], 0, 0)


def test_missing_outside_and_contradicting_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0.jpg").touch()
    pairs = ("gone/0.jpg,京A1/0.jpg", "gone/0.jpg,京A1/1.jpg", "other/0.jpg,京A1/0.jpg", "京A1/0.jpg,京A1/1.jpg")
    rows = [f"{pair},0,x" for pair in pairs]
    found = read_cloned_pairs(table(tmp_path, *rows), tmp_path, PATHS, LABELS)
    assert found.missing == ["gone/0.jpg"]
    assert (len(found), found.outside, found.one_folder) == (1, 1, 1)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("path_a,path_b,plate", "a,b,c", "has no column same"),
        ("path_a,path_b,same,plate", "a,b,perhaps,c", "line 2: same is 'perhaps'"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, header: str, row: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_cloned_pairs(table(tmp_path, row, header=header), tmp_path, PATHS, LABELS)


def test_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--cloned_pairs .*cannot be read"):
        read_cloned_pairs(tmp_path / "none.csv", tmp_path, PATHS, LABELS)


def test_pairs_by_plate_are_all_pairs_within_a_shared_plate() -> None:
    labels = np.array([0, 0, 1, 2, 2, 3])
    found = pairs_by_plate(labels, ["A", "B", "A", "C"])
    expected = {(0, 1, True), (0, 3, False), (0, 4, False), (1, 3, False), (1, 4, False), (3, 4, True)}
    assert set(zip(found.pairs.first, found.pairs.second, found.pairs.same, strict=True)) == expected
    assert set(found.plates) == {"A"}
    assert len(pairs_by_plate(labels, ["A", "B", "C", "D"])) == 0


def test_shares_judged_right() -> None:
    angles = np.deg2rad([0, 10, 12, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    cloned = pairs_by_plate(LABELS, ["A", "A"])
    distances, figures = judge_clones(vectors, cloned, 0.5, Protocol(replicates=10))
    assert distances == pytest.approx([2 * math.sin(abs(angles[a] - angles[b]) / 2) for a, b in zip(
        cloned.pairs.first, cloned.pairs.second, strict=True)], abs=1e-6)  # fmt: skip
    assert figures["clones_judged_different"].value == 0.5  # 0-90 and 10-90 degrees, not 0-12 and 10-12
    assert figures["same_judged_same"].value == 0.5
    assert math.isnan(figures["same_judged_same"].low)  # one plate alone


def test_a_kind_of_pair_that_is_absent_is_undefined() -> None:
    vectors = np.eye(2, dtype=np.float32)
    cloned = pairs_by_plate(np.array([0, 1]), ["A", "A"])
    _, figures = judge_clones(vectors, cloned, 0.5, Protocol(replicates=10))
    assert figures["clones_judged_different"].value == 1
    assert math.isnan(figures["same_judged_same"].value)
