"""Folders as people really have them, the split by identity, and what is said about both."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from config import TrainConfig
from dataset import byte_identical, data_notes, data_table, load_splits, plate_of, split_identities, split_position
from siamclip.data.collection import Collection, Skipped, check_usable, scan
from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.errors import UserError
from tests.hostile import READABLE, UNREADABLE, encoded, smooth_rgb

PNG = encoded(smooth_rgb(), "PNG")


def put(root: Path, *names: str, content: bytes = PNG) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def photos_of(collection: Collection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in collection.identities}
    for path, label in zip(collection.paths, collection.labels, strict=True):
        found[collection.identities[label]].append(path)
    return found


def reasons(skipped: list[Skipped]) -> dict[str, str]:
    return {file.path: file.reason for file in skipped}


# -- scan -----------------------------------------------------------------------------------------------------------


def test_any_name_any_depth_any_case_of_the_extension(tmp_path: Path) -> None:
    expected = {
        "two\nlines": ["two\nlines/a.png"],
        " with  spaces ": [" with  spaces / a b .JPG"],
        "🚗": ["🚗/1/2/3/deep.WebP", "🚗/top.tIFf"],
        "京A12345": ["京A12345/front/a.PnG", "京A12345/rear/a.PnG"],
    }
    put(tmp_path, *(name for names in expected.values() for name in names))
    found = scan(tmp_path)
    assert photos_of(found) == expected
    assert found.identities == sorted(expected)
    assert (np.diff(found.labels) >= 0).all()  # photos of one identity stand together
    assert found.labels.dtype == np.int64
    assert [file.is_file() for file in found.files] == [True] * len(found)
    assert found.skipped == []


def test_a_photo_of_each_format(tmp_path: Path) -> None:
    formats = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "gif": "GIF"}
    for extension, name in formats.items():
        put(tmp_path, f"A/photo.{extension}", content=encoded(smooth_rgb(), name))
    put(tmp_path, *(f"B/photo{extension}" for extension in IMAGE_EXTENSIONS))  # the content decides, not the name
    found = photos_of(scan(tmp_path))
    assert len(found["A"]) == 6
    assert len(found["B"]) == len(IMAGE_EXTENSIONS)


def test_what_is_no_photo_is_counted_and_listed(tmp_path: Path) -> None:
    put(tmp_path, "A/good.png", "A/.hidden.png", ".cache/b.png", "A/.git/c.png", "loose.png", "A/photo.png.txt", "A/n")
    (tmp_path / "nothing in it").mkdir()
    found = scan(tmp_path)
    assert found.paths == ["A/good.png"]
    assert found.identities == ["A"]
    assert reasons(found.skipped) == {
        "A/.hidden.png": "hidden",
        ".cache/b.png": "hidden",
        "A/.git/c.png": "hidden",
        "loose.png": "not in an identity's folder",
        "A/photo.png.txt": "not an image",
        "A/n": "not an image",
    }


def test_damaged_files_are_listed_and_odd_ones_are_kept(tmp_path: Path) -> None:
    (tmp_path / "A").mkdir()
    bad = {
        name: UNREADABLE[name](tmp_path / "A")
        for name in (
            "zero bytes",
            "header only",
            "text named .jpg",
            "lying header, 50,000 x 50,000",
            "true 50,000 x 50,000",
            "symlink loop",
        )
    }
    good = [factory(tmp_path / "A") for factory in READABLE.values()]
    found = scan(tmp_path)
    assert sorted(found.files) == sorted(good)
    why = reasons(found.skipped)
    assert why.keys() == {path.relative_to(tmp_path).as_posix() for path in bad.values()}
    assert why["A/empty.jpg"] == "the file is empty"
    assert why["A/text.jpg"] == "not a JPEG, PNG, BMP, WebP, TIFF or GIF file"
    assert "over the limit" in why["A/huge.png"]


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    put(root, "A/1.png", "B/2.png")
    put(elsewhere, "3.png")
    (root / "A" / "up").symlink_to(root)
    (root / "A" / "self").symlink_to(root / "A")
    (root / "C").symlink_to(elsewhere)
    (root / "D").symlink_to(elsewhere)  # the same vehicle under two names would be a pair of "different" ones
    found = scan(root)
    assert photos_of(found) == {"A": ["A/1.png"], "B": ["B/2.png"], "C": ["C/3.png"]}
    assert reasons(found.skipped) == dict.fromkeys(("A/up", "A/self", "D"), "the same folder again, through a link")


def test_a_folder_that_cannot_be_listed_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "A/1.png", "B/2.png")
    scandir = os.scandir

    def refuses(path: str) -> object:  # permissions stop nobody who runs the tests as root
        if str(path).endswith("B"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    found = scan(tmp_path)
    assert found.paths == ["A/1.png"]
    assert reasons(found.skipped) == {"B": "folder cannot be listed (Permission denied)"}


def test_nothing_to_scan(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--data_dir .*none: no such folder"):
        scan(tmp_path / "none")
    with pytest.raises(UserError, match=r"no readable photo in a sub-folder \(0 unreadable photos, 0 other files\)"):
        scan(tmp_path)
    put(tmp_path, "loose.png", "A/text.txt")
    put(tmp_path, "A/empty.png", "A/text.png", content=b"")
    with pytest.raises(UserError, match=r"\(2 unreadable photos, 2 other files\)"):
        scan(tmp_path)


# -- select ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=20))
def test_select_keeps_photos_with_their_identity(photos: list[tuple[int, bool]]) -> None:
    numbers, wanted = zip(*sorted(photos), strict=True)
    names = [f"id{i}" for i in sorted(set(numbers))]
    labels = np.unique(numbers, return_inverse=True)[1]
    whole = Collection(Path("root"), [f"id{n}/{i}" for i, n in enumerate(numbers)], labels, names)
    part = whole.select(np.array(wanted))
    expected = {
        name: [p for p, keep in zip(whole.paths, wanted, strict=True) if keep and p.startswith(f"{name}/")]
        for name in names
    }
    assert photos_of(part) == {name: paths for name, paths in expected.items() if paths}
    assert (np.diff(part.labels) >= 0).all()


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


def test_a_side_with_one_identity_is_named() -> None:
    with pytest.raises(UserError, match="the val side has 1 identity;"):
        check_usable("val", Collection(Path(), ["a/1", "a/2"], np.zeros(2, np.int64), ["a"]))


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
    sides = [scan(tmp_path / side) for side in ("one", "two")]
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
