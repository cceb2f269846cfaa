"""Tables of duplicate groups, whoever wrote them."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from siamclip.data.duplicate_groups import read_groups
from siamclip.errors import UserError


def test_parquet_with_text_or_bytes_and_a_table_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "groups.parquet"
    for paths in (["京A/1.jpg", "B/2.jpg"], [os.fsencode("京A/1.jpg"), b"B/\xff"]):
        table = pyarrow.table({"group": [3, 3], "path": paths, "note": ["", ""]})
        pyarrow.parquet.write_table(table, file)
        assert read_groups(file) == [(os.fsdecode(path), "3") for path in paths]
    table = tmp_path / "own.csv"
    table.write_text("\ufeffgroup,path\nx,A/1.jpg\n", encoding="utf-8")
    assert read_groups(table) == [("A/1.jpg", "x")]


@pytest.mark.parametrize(
    "columns", [{"path": [None], "group": [1]}, {"path": ["a"], "group": [None]}, {"path": [1], "group": [1]}]
)
def test_a_parquet_file_with_holes(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "groups.parquet")
    with pytest.raises(UserError, match=r"duplicate_groups .*groups\.parquet: cannot be read"):
        read_groups(tmp_path / "groups.parquet")


def test_a_parquet_file_without_the_columns(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "groups.parquet")
    with pytest.raises(UserError, match="has no columns path and group"):
        read_groups(tmp_path / "groups.parquet")
