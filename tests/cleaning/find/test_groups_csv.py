"""groups.csv: what is written comes back, whatever the names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset import joined_plates
from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.groups.grouping import components
from siamclip.cleaning.find.results import groups_csv
from siamclip.data.collection import Collection
from siamclip.data.duplicate_groups import read_groups
from tests.cleaning.photo_tables import pairs_of, photos_of


def write_groups(file: Path, photos: PhotoTable, copies: list[CopyPairs]) -> None:
    file.write_bytes(groups_csv(photos, components(len(photos), *((part.first, part.second) for part in copies))))


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(st.lists(names, min_size=4, max_size=4, unique=True))
def test_groups_come_back_whatever_the_names(tmp_path_factory: pytest.TempPathFactory, stems: list[str]) -> None:
    paths = [f"{'AB'[i % 2]}/{stem}" for i, stem in enumerate(stems)]
    file = tmp_path_factory.mktemp("groups") / "groups.csv"
    copies = [pairs_of("exact", (1, 3, 0)), pairs_of("phash", (0, 1, 3))]
    write_groups(file, photos_of(*paths), copies)
    assert read_groups(file) == [(paths[i], "0") for i in (0, 1, 3)]


def test_chains_are_one_group_and_single_photos_and_the_archive_are_in_none(tmp_path: Path) -> None:
    photos = photos_of("A/0", "B/1", "C/2", "D/3", "E/\udcff\n", "F/5", archived=[False] * 5 + [True])
    file = tmp_path / "groups.csv"
    copies = [pairs_of("phash", (0, 1, 5), (3, 5, 0)), pairs_of("semantic", (1, 2, 0.2)), pairs_of("exact", (4, 5, 0))]
    write_groups(file, photos, copies)
    # D and E are copies of one photo of the archive
    assert read_groups(file) == [("A/0", "0"), ("B/1", "0"), ("C/2", "0"), ("D/3", "1"), ("E/\udcff\n", "1")]
    whole = Collection(Path(), photos.paths, np.arange(6), list("ABCDEF"))
    assert joined_plates(whole, read_groups(file)) == {"A": "A", "B": "A", "C": "A", "D": "D", "E": "D"}
    write_groups(file, photos, [])
    assert read_groups(file) == []
