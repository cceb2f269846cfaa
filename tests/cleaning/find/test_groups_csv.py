"""groups.csv: what is written comes back, whatever the names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import joined_plates
from siamclip.cleaning.find.groups_csv import read_groups, write_groups
from siamclip.data.collection import Collection
from siamclip.errors import UserError
from tests.cleaning.photo_tables import pairs_of, photos_of

names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.lists(names, min_size=4, max_size=4, unique=True))
def test_groups_come_back_whatever_the_names(tmp_path_factory: pytest.TempPathFactory, stems: list[str]) -> None:
    paths = [f"{'AB'[i % 2]}/{stem}" for i, stem in enumerate(stems)]
    file = tmp_path_factory.mktemp("groups") / "groups.csv"
    copies = [pairs_of("exact", (1, 3, 0)), pairs_of("phash", (0, 1, 3))]
    assert write_groups(file, photos_of(*paths), copies) == 1
    assert read_groups(file) == [(paths[i], "0") for i in (0, 1, 3)]


def test_chains_are_one_group_and_single_photos_and_the_archive_are_in_none(tmp_path: Path) -> None:
    photos = photos_of("A/0", "B/1", "C/2", "D/3", "E/\udcff\n", "F/5", archived=[False] * 5 + [True])
    file = tmp_path / "groups.csv"
    copies = [pairs_of("phash", (0, 1, 5), (3, 5, 0)), pairs_of("semantic", (1, 2, 0.2)), pairs_of("exact", (4, 5, 0))]
    assert write_groups(file, photos, copies) == 2
    # D and E are copies of one photo of the archive
    assert read_groups(file) == [("A/0", "0"), ("B/1", "0"), ("C/2", "0"), ("D/3", "1"), ("E/\udcff\n", "1")]
    whole = Collection(Path(), photos.paths, np.arange(6), list("ABCDEF"))
    assert joined_plates(whole, read_groups(file)) == {"A": "A", "B": "A", "C": "A", "D": "D", "E": "D"}
    assert write_groups(file, photos, []) == 0
    assert read_groups(file) == []


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


def test_a_parquet_file_without_the_columns_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a"]}), tmp_path / "groups.parquet")
    with pytest.raises(UserError, match="has no columns path and group"):
        read_groups(tmp_path / "groups.parquet")
    with pytest.raises(UserError, match="cannot be written"):
        write_groups(tmp_path / "none" / "groups.csv", photos_of("A/1"), [])
