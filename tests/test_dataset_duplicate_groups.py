"""Splits in which duplicates fall on one side (--duplicate_groups)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import TrainConfig
from dataset import data_notes, joined_plates, load_splits, split_identities, split_position
from siamclip.data.collection import Collection
from siamclip.errors import UserError
from tests.hostile import encoded, smooth_rgb

PNG = encoded(smooth_rgb(), "PNG")


def make_identities(root: Path, names: list[str], photos: int = 2) -> None:
    """Each photo with bytes of its own."""
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(photos):
            (root / name / f"{i}.png").write_bytes(PNG + f"{name}/{i}".encode())


def whole_of(*paths: str) -> Collection:
    identities = sorted({path.split("/")[0] for path in paths})
    ordered = sorted(paths)
    labels = np.array([identities.index(path.split("/")[0]) for path in ordered], np.int64)
    return Collection(Path("root"), ordered, labels, identities)


groups_of_numbers = st.lists(st.lists(st.integers(0, 59), min_size=1, max_size=5), max_size=12)


@settings(max_examples=40)
@given(groups_of_numbers, st.integers(0, 1000), st.sampled_from([0.0, 0.2]))
def test_no_group_crosses_sides(members: list[list[int]], seed: int, test: float) -> None:
    names = [f"京A{i}" for i in range(60)]
    whole = whole_of(*(f"{name}/{i}.png" for name in names for i in range(12)))
    groups = [(f"京A{n}/{g}.png", str(g)) for g, numbers in enumerate(members) for n in numbers]
    joined = joined_plates(whole, groups)
    alone = dict(zip(whole.identities, split_identities(whole.identities, 0.2, test, seed).tolist(), strict=True))
    sides = split_identities(whole.identities, 0.2, test, seed, joined).tolist()
    together = dict(zip(whole.identities, sides, strict=True))
    for numbers in members:
        assert len({together[f"京A{n}"] for n in numbers}) == 1
    for found, units in ((alone, {}), (together, joined)):
        position = {name: split_position(units.get(name, name), seed) for name in names}
        by_hash = {name: 2 if p < test else 1 if p < test + 0.2 else 0 for name, p in position.items()}
        numbers_of = Counter(by_hash.values())
        if all(numbers_of[side] >= 2 for side in ([0, 1, 2] if test else [0, 1])):  # else some are moved
            assert found == by_hash
    shuffled = groups[::-1]
    assert joined_plates(whole, shuffled) == joined


def test_identities_without_duplicates_keep_their_side() -> None:
    names = [f"京A{i:03}" for i in range(300)]
    whole = whole_of(*(f"{name}/1.png" for name in names))
    joined = joined_plates(
        whole, [("京A000/1.png", "1"), ("京A001/1.png", "1"), ("京A001/1.png", "2"), ("京A002/1.png", "2")]
    )
    assert joined == {"京A000": "京A000", "京A001": "京A000", "京A002": "京A000"}
    alone, together = (split_identities(names, 0.3, 0.3, 7, given) for given in (None, joined))
    assert (alone[3:] == together[3:]).all()
    assert set(together[:3]) == {alone[0]}  # the place of the first name of them: large groups have no side they prefer


def test_joined_through_plates_and_through_photos_that_are_still_there() -> None:
    whole = whole_of("A/1.png", "A~2/1.png", "B/1.png", "C/é.png", "D/1.png", "E/1.png")
    assert joined_plates(whole, [("A~2/1.png", "x"), ("B/1.png", "x")]) == {"A": "A", "B": "A"}
    decomposed = unicodedata.normalize("NFD", "C/é.png")
    assert joined_plates(whole, [(decomposed, "x"), ("D/1.png", "x")]) == {"C": "C", "D": "C"}
    gone = [("D/gone.png", "x"), ("E/1.png", "x"), ("D/gone.png", "y"), ("C/é.png", "y")]
    assert joined_plates(whole, gone) == {"E": "E", "C": "C"}


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_a_run_keeps_duplicates_on_one_side(tmp_path: Path) -> None:
    names = [f"京A{i}" for i in range(40)]
    make_identities(tmp_path / "data", names)
    rows = [f"{name}/0.png,{i % 4}" for i, name in enumerate(names[:20])]
    file = written(tmp_path / "groups.csv", "\n".join(["path,group", *rows, "gone/1.png,7"]))
    splits = load_splits(TrainConfig(data_dir=str(tmp_path / "data"), duplicate_groups=file))
    side_of = {name: side for side in ("train", "val", "test") for name in getattr(splits, side).identities}
    for group in range(4):
        assert len({side_of[name] for i, name in enumerate(names[:20]) if i % 4 == group}) == 1
    assert len(side_of) == 40
    assert "duplicates keep 20 identities on one side with each other" in data_notes(splits)
    alone = load_splits(TrainConfig(data_dir=str(tmp_path / "data")))
    assert 0 < len(set(alone.train.identities) & set(names[:20:4])) < 5  # which by itself the split does not do
    assert not any("duplicates keep" in note for note in data_notes(alone))


def test_groups_that_cannot_be_used(tmp_path: Path) -> None:
    make_identities(tmp_path / "data", [f"京A{i}" for i in range(20)])

    def refused(text: str | bytes, match: str, name: str = "groups.csv", **settings: str) -> None:
        file = written(tmp_path / name, text)
        with pytest.raises(UserError, match=match):
            load_splits(TrainConfig(data_dir=str(tmp_path / "data"), duplicate_groups=file, **settings))

    refused("path,group\ndata/京A1/0.png,1\n", "none of its photos lies in data_dir")
    refused("file,group\n", "has no columns path and group")
    refused("", "has no columns path and group")
    refused("path,group\nA/1.png\n", "line 2 has no path or no group")
    refused(b"no parquet", "cannot be read", "groups.parquet")
    three = {f"{side}_dir": str(tmp_path / "data") for side in ("train", "val", "test")}
    refused("path,group\n", "three given folders are taken as they are", **three)
    with pytest.raises(UserError, match=r"duplicate_groups .*none\.csv: cannot be read"):
        load_splits(TrainConfig(data_dir=str(tmp_path / "data"), duplicate_groups=str(tmp_path / "none.csv")))
    everything = "".join(f"京A{i}/0.png,1\n" for i in range(20))
    refused("path,group\n" + everything, "1 identity that no duplicates join cannot be split")
