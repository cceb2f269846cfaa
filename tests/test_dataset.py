"""The split by identity, and what is said about it."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from config import TrainConfig
from dataset import byte_identical, data_notes, data_table, load_splits, plate_of, split_identities, split_position
from siamclip.data.collection import Collection
from siamclip.errors import UserError
from tests.photo_files import PNG, put

# -- split ----------------------------------------------------------------------------------------------------------

names_of_folders = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6)
many = st.lists(names_of_folders, min_size=60, max_size=90, unique=True)


def sides_of(identities: list[str], seed: int = 42, val: float = 0.3, test: float = 0.3) -> dict[str, int]:
    return dict(zip(identities, split_identities(identities, val, test, seed).tolist(), strict=True))


@settings(max_examples=30)
@given(many, many, st.integers(0, 2**32 - 1))
def test_more_identities_move_none_to_another_side(first: list[str], more: list[str], seed: int) -> None:
    before = sides_of(first, seed)
    together = sides_of(list(dict.fromkeys(first + more)), seed)
    assert {name: together[name] for name in first} == before


@settings(max_examples=30)
@given(many, st.randoms())
def test_the_order_does_not_matter(identities: list[str], random: object) -> None:
    shuffled = list(identities)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sides_of(shuffled) == sides_of(identities)


def test_the_sides_have_their_ratios() -> None:
    sides = split_identities([f"京A{i:05}" for i in range(20_000)], 0.15, 0.1, 42)
    shares = np.bincount(sides, minlength=3) / 20_000
    # three standard deviations of a share are below 0.008
    np.testing.assert_allclose(shares, [0.75, 0.15, 0.1], atol=0.01)


def test_the_seed_makes_another_split() -> None:
    identities = [f"id{i}" for i in range(100)]
    assert sides_of(identities, 1) != sides_of(identities, 2)


@given(st.lists(names_of_folders.filter(lambda name: "~" not in name), min_size=6, max_size=80, unique=True))
def test_vehicles_of_one_plate_stay_together(plates: list[str]) -> None:
    identities = [name for plate in plates for name in (plate, f"{plate}~2", f"{plate}~blue~b")]
    try:
        sides = sides_of(identities)
    except UserError:
        assert len({unicodedata.normalize("NFC", plate) for plate in plates}) < 6
        return
    for plate in plates:
        assert sides[plate] == sides[f"{plate}~2"] == sides[f"{plate}~blue~b"]
    assert plate_of("京A12345~2") == plate_of("京A12345") == "京A12345"


@pytest.mark.parametrize("others", [8, 60], ids=["a small collection", "a large collection"])
def test_composed_and_decomposed_names_are_one(others: int) -> None:
    """macOS writes é as e and an accent: the same collection, copied, keeps its split."""
    for name in ("Éclair", "Ñandú", "Zürich", "がぎぐ", "京É1~2"):
        composed, decomposed = (unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
        assert composed != decomposed
        assert split_position(composed, 42) == split_position(decomposed, 42)
        rest = [f"id{i}" for i in range(others)]
        assert sides_of([composed, *rest])[composed] == sides_of([decomposed, *rest])[decomposed]
        both = sides_of([composed, decomposed, *rest])
        assert both[composed] == both[decomposed]


@given(st.integers(6, 30), st.floats(0.01, 0.6), st.floats(0, 0.39), st.integers(0, 1000))
def test_every_side_gets_two_identities(count: int, val: float, test: float, seed: int) -> None:
    numbers = np.bincount(split_identities([f"id{i}" for i in range(count)], val, test, seed), minlength=3)
    assert numbers[0] >= 2 and numbers[1] >= 2
    assert numbers[2] >= 2 if test > 0 else numbers[2] == 0


@pytest.mark.parametrize("plates", [["a"], ["a", "b", "c", "d", "e"], ["a", "a~2", "b", "b~2", "c", "c~2", "d"]])
def test_fewer_than_six_plates_cannot_be_split(plates: list[str]) -> None:
    with pytest.raises(UserError, match="give 6 sub-folders or more"):
        split_identities(plates, 0.15, 0.15, 42)


def test_ratios_that_leave_nothing_to_train_on() -> None:
    with pytest.raises(UserError, match="nothing is left to train on"):
        split_identities([f"id{i}" for i in range(50)], 0.5, 0.5, 42)


# -- the three sides of a run ---------------------------------------------------------------------------------------


def make_identities(root: Path, names: list[str], photos: int = 2) -> None:
    """Each photo with bytes of its own."""
    for name in names:
        for i in range(photos):
            put(root, f"{name}/{i}.png", content=PNG + f"{root.name}/{name}/{i}".encode())


def test_a_folder_is_split_by_identity(tmp_path: Path) -> None:
    names = [f"京A{i}" for i in range(40)]
    make_identities(tmp_path, names, photos=3)
    put(tmp_path, "京A0/readme.txt")
    splits = load_splits(TrainConfig(data_dir=str(tmp_path)))
    sides = [splits.train, splits.val, splits.test]
    assert sorted(name for side in sides for name in side.identities) == sorted(names)  # each on one side alone
    assert [len(side) for side in sides] == [3 * len(side.identities) for side in sides]
    for side in sides:
        assert all(path.startswith(f"{side.identities[n]}/") for path, n in zip(side.paths, side.labels, strict=True))
    assert splits.leaks == []
    assert [file.path for file in splits.skipped] == ["京A0/readme.txt"]


def test_three_given_folders(tmp_path: Path) -> None:
    for side in ("one", "two", "three"):
        make_identities(tmp_path / side, [f"{side} {i}" for i in range(2)])
    put(tmp_path / "three", "three 0/text.txt")
    given = {
        f"{name}_dir": str(tmp_path / side)
        for name, side in zip(("train", "val", "test"), ("one", "two", "three"), strict=True)
    }
    splits = load_splits(TrainConfig(**given))
    assert (splits.train.identities, splits.val.identities) == (["one 0", "one 1"], ["two 0", "two 1"])
    assert (splits.test.root, [file.path for file in splits.skipped]) == (tmp_path / "three", ["three 0/text.txt"])
    with pytest.raises(UserError, match="give all three or none"):
        load_splits(TrainConfig(train_dir=given["train_dir"], val_dir=given["val_dir"]))


def test_one_identity_alone(tmp_path: Path) -> None:
    make_identities(tmp_path, ["京A12345"], photos=5)
    with pytest.raises(UserError, match=r"has one identity alone \('京A12345'\)"):
        load_splits(TrainConfig(data_dir=str(tmp_path)))


def test_three_identities(tmp_path: Path) -> None:
    make_identities(tmp_path, ["a", "b", "c"])
    with pytest.raises(UserError, match="3 identities cannot be split"):
        load_splits(TrainConfig(data_dir=str(tmp_path)))


def test_identities_of_one_photo_each(tmp_path: Path) -> None:
    make_identities(tmp_path, [f"id{i}" for i in range(12)], photos=1)
    with pytest.raises(UserError, match="no identity with two readable photos"):
        load_splits(TrainConfig(data_dir=str(tmp_path)))


def test_some_identities_of_one_photo_are_welcome(tmp_path: Path) -> None:
    make_identities(tmp_path, [f"id{i}" for i in range(40)])
    make_identities(tmp_path, [f"single{i}" for i in range(40)], photos=1)
    splits = load_splits(TrainConfig(data_dir=str(tmp_path)))
    assert sum(len(side) for side in (splits.train, splits.val, splits.test)) == 120


def test_no_test_side_is_allowed(tmp_path: Path) -> None:
    make_identities(tmp_path, [f"id{i}" for i in range(20)])
    splits = load_splits(TrainConfig(data_dir=str(tmp_path), test_ratio=0.0))
    assert (len(splits.test), splits.test.identities) == (0, [])


def test_identical_files_on_two_sides_are_reported(tmp_path: Path) -> None:
    for side in ("one", "two"):
        make_identities(tmp_path / side, [f"{side} {i}" for i in range(2)])
    put(tmp_path, "one/one 0/same.png", "two/two 1/京.png", "two/two 1/again.png")
    put(tmp_path, "one/one 0/within.png", "one/one 1/within.png", content=PNG + b"on one side alone")
    put(tmp_path, "two/two 0/as long.png", content=PNG[:-1] + b"?")
    sides = [Collection.from_folder(tmp_path / side) for side in ("one", "two")]
    (group,) = byte_identical(sides)
    assert set(group) == {
        str(tmp_path / name) for name in ("one/one 0/same.png", "two/two 1/京.png", "two/two 1/again.png")
    }


def test_notes_and_table_say_what_was_found(tmp_path: Path) -> None:
    for side in ("one", "two", "three"):
        make_identities(tmp_path / side, [f"{side} {i}" for i in range(3)])
        for i in range(7):
            put(tmp_path, f"{side}/{side} 0/copy {i}\n.png", content=PNG + bytes([i] * 20))
    put(tmp_path, "one/one 0/a.txt", "one/one 0/b.txt", "two/two 0/.hidden.png")
    folders = {
        f"{name}_dir": str(tmp_path / side)
        for name, side in zip(("train", "val", "test"), ("one", "two", "three"), strict=True)
    }
    splits = load_splits(TrainConfig(**folders))
    notes = data_notes(splits)
    assert notes[0] == "left out: 2 not an image, 1 hidden"
    assert len(notes) == 7 and all(note.isprintable() for note in notes)
    assert notes[-1] == "... and 2 more groups of identical files on two sides"
    console = Console(width=80, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    console.print(data_table("run", splits))
    rows = [line.split() for line in console.export_text().splitlines()]
    for name in ("train", "val", "test"):
        assert any([cell for cell in row if cell.isalnum()] == [name, "3", "13"] for row in rows)
