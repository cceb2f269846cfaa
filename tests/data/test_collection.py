"""Folders as people really have them: which photos are found, and what is said of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.data.collection import Collection, Skipped, check_usable
from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.errors import UserError
from tests.hostile import READABLE, UNREADABLE, encoded, smooth_rgb
from tests.photo_files import put


def photos_of(collection: Collection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in collection.identities}
    for path, label in zip(collection.paths, collection.labels, strict=True):
        found[collection.identities[label]].append(path)
    return found


def reasons(skipped: list[Skipped]) -> dict[str, str]:
    return {file.path: file.reason for file in skipped}


# -- from a folder --------------------------------------------------------------------------------------------------


def test_any_name_any_depth_any_case_of_the_extension(tmp_path: Path) -> None:
    expected = {
        "two\nlines": ["two\nlines/a.png"],
        " with  spaces ": [" with  spaces / a b .JPG"],
        "🚗": ["🚗/1/2/3/deep.WebP", "🚗/top.tIFf"],
        "京A12345": ["京A12345/front/a.PnG", "京A12345/rear/a.PnG"],
    }
    put(tmp_path, *(name for names in expected.values() for name in names))
    found = Collection.from_folder(tmp_path)
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
    found = photos_of(Collection.from_folder(tmp_path))
    assert len(found["A"]) == 6
    assert len(found["B"]) == len(IMAGE_EXTENSIONS)


def test_what_is_no_photo_is_counted_and_listed(tmp_path: Path) -> None:
    put(tmp_path, "A/good.png", "A/.hidden.png", ".cache/b.png", "A/.git/c.png", "loose.png", "A/photo.png.txt", "A/n")
    (tmp_path / "nothing in it").mkdir()
    found = Collection.from_folder(tmp_path)
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
    found = Collection.from_folder(tmp_path)
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
    found = Collection.from_folder(root)
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
    found = Collection.from_folder(tmp_path)
    assert found.paths == ["A/1.png"]
    assert reasons(found.skipped) == {"B": "folder cannot be listed (Permission denied)"}


def test_nothing_to_scan(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data_dir .*none: no such folder"):
        Collection.from_folder(tmp_path / "none")
    with pytest.raises(UserError, match=r"no readable photo in a sub-folder \(0 unreadable photos, 0 other files\)"):
        Collection.from_folder(tmp_path)
    put(tmp_path, "loose.png", "A/text.txt")
    put(tmp_path, "A/empty.png", "A/text.png", content=b"")
    with pytest.raises(UserError, match=r"\(2 unreadable photos, 2 other files\)"):
        Collection.from_folder(tmp_path)


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


# -- usable ---------------------------------------------------------------------------------------------------------


def test_a_side_with_one_identity_is_named() -> None:
    with pytest.raises(UserError, match="the val side has 1 identity;"):
        check_usable("val", Collection(Path(), ["a/1", "a/2"], np.zeros(2, np.int64), ["a"]))
