"""Cloned plates: which rows count, and what is said about the others."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from siamclip.data.collection import Collection
from siamclip.errors import UserError
from siamclip.evaluation.measurement.cloned_plates import clone_metrics, pairs_by_plate, read_cloned_pairs
from siamclip.evaluation.measurement.contracts import EvaluationProtocol

PATHS = ["京A1/0.jpg", "京A1/1.jpg", "京A1~2/0.jpg", "京A1~2/1.jpg"]
LABELS = np.array([0, 0, 1, 1])


def evaluated(root: Path) -> Collection:
    return Collection(root, PATHS, LABELS, ["京A1", "京A1~2"])


def named(labels: np.ndarray, identities: list[str]) -> Collection:
    return Collection(Path(), [f"{identities[label]}/{i}.jpg" for i, label in enumerate(labels)], labels, identities)


def table(folder: Path, *rows: str, header: str = "path_a,path_b,same,plate") -> Path:
    file = folder / "pairs.csv"
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def test_rows_become_pairs_with_either_separator(tmp_path: Path) -> None:
    file = table(tmp_path, r"京A1\0.jpg,京A1~2\1.jpg,0,京A1", "京A1/0.jpg,./京A1/1.jpg,True,京A1")
    found = read_cloned_pairs(file, evaluated(tmp_path))
    rows = list(zip(found.pairs.first, found.pairs.second, found.pairs.same, strict=True))
    assert rows == [(0, 3, False), (0, 1, True)]
    assert found.plates.tolist() == ["京A1", "京A1"]
    assert (found.missing, found.outside, found.one_folder) == ([], 0, 0)


def test_missing_outside_and_contradicting_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "0.jpg").touch()
    pairs = ("gone/0.jpg,京A1/0.jpg", "gone/0.jpg,京A1/1.jpg", "other/0.jpg,京A1/0.jpg", "京A1/0.jpg,京A1/1.jpg")
    rows = [f"{pair},0,x" for pair in pairs]
    found = read_cloned_pairs(table(tmp_path, *rows), evaluated(tmp_path))
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
        read_cloned_pairs(table(tmp_path, row, header=header), evaluated(tmp_path))


def test_absent_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cloned_pairs .*cannot be read"):
        read_cloned_pairs(tmp_path / "none.csv", evaluated(tmp_path))


def test_pairs_by_plate_are_all_pairs_within_a_shared_plate() -> None:
    labels = np.array([0, 0, 1, 2, 2, 3])
    found = pairs_by_plate(named(labels, ["A", "B", "A~2", "C"]))
    expected = {(0, 1, True), (0, 3, False), (0, 4, False), (1, 3, False), (1, 4, False), (3, 4, True)}
    assert set(zip(found.pairs.first, found.pairs.second, found.pairs.same, strict=True)) == expected
    assert set(found.plates) == {"A"}
    assert len(pairs_by_plate(named(labels, ["A", "B", "C", "D"]))) == 0


def test_shares_judged_right() -> None:
    angles = np.deg2rad([0, 10, 12, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    cloned = pairs_by_plate(named(LABELS, ["A", "A~2"]))
    distances, metrics = clone_metrics(vectors, cloned, 0.5, EvaluationProtocol(replicates=10))
    assert distances == pytest.approx([2 * math.sin(abs(angles[a] - angles[b]) / 2) for a, b in zip(
        cloned.pairs.first, cloned.pairs.second, strict=True)], abs=1e-6)  # fmt: skip
    assert metrics["clones_judged_different"].value == 0.5  # 0-90 and 10-90 degrees, not 0-12 and 10-12
    assert metrics["same_judged_same"].value == 0.5
    assert math.isnan(metrics["same_judged_same"].low)  # one plate alone


def test_a_kind_of_pair_that_is_absent_is_undefined() -> None:
    vectors = np.eye(2, dtype=np.float32)
    cloned = pairs_by_plate(named(np.array([0, 1]), ["A", "A~2"]))
    _, metrics = clone_metrics(vectors, cloned, 0.5, EvaluationProtocol(replicates=10))
    assert metrics["clones_judged_different"].value == 1
    assert math.isnan(metrics["same_judged_same"].value)
