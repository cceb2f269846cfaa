"""The walk: what counts as a photo of its own. No file is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.inventory import Listing, list_photos
from siamclip.errors import UserError


def names(listing: Listing) -> list[bytes]:
    found: list[bytes] = listing.paths.to_pylist()
    return found


def touched(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode("utf-8", "surrogateescape"))


def test_photos_in_the_order_of_their_paths(tmp_path: Path) -> None:
    touched(tmp_path, "b/2.JpG", "b/10.PNG", "a/x.bmp", "a-b/y.webp", "top.TIFF", "a/notes.txt", "a/plain", "jpg")
    listing = list_photos(tmp_path)
    assert names(listing) == sorted([b"b/2.JpG", b"b/10.PNG", b"a/x.bmp", b"a-b/y.webp", b"top.TIFF"])
    assert listing.other_files == 3
    for i, path in enumerate(names(listing)):
        status = (tmp_path / os.fsdecode(path)).stat()
        row = (listing.size[i], listing.mtime_ns[i], listing.inode[i], listing.device[i])
        assert row == (status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


def test_links_are_no_photos_and_are_not_followed(tmp_path: Path) -> None:
    touched(tmp_path, "data/a/1.jpg", "elsewhere/2.jpg")
    data = tmp_path / "data"
    (data / "a" / "link.jpg").symlink_to(data / "a" / "1.jpg")
    (data / "a" / "broken.jpg").symlink_to(data / "nothing")
    (data / "a" / "self.jpg").symlink_to("self.jpg")
    (data / "outside").symlink_to(tmp_path / "elsewhere")
    (data / "a" / "loop").symlink_to(data)
    listing = list_photos(data)
    assert names(listing) == [b"a/1.jpg"]
    links = [b"a/broken.jpg", b"a/link.jpg", b"a/loop", b"a/self.jpg", b"outside"]
    assert listing.skipped == [(path, "a link") for path in links] and listing.links == 5


def test_hard_links_count_once_under_the_first_name(tmp_path: Path) -> None:
    touched(tmp_path, "m/1.jpg", "m/2.jpg")
    for name in ("z.jpg", "a/0.jpg", "m/0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).hardlink_to(tmp_path / "m" / "1.jpg")
    listing = list_photos(tmp_path)
    assert names(listing) == [b"a/0.jpg", b"m/2.jpg"]
    assert (
        listing.skipped == [(path, "the same file as a/0.jpg") for path in (b"m/0.jpg", b"m/1.jpg", b"z.jpg")]
        and listing.hard_links == 3
    )
    assert listing.size.tolist() == [len("m/1.jpg")] * 2


def test_hidden_names_and_run_folders_are_left_out(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.jpg", ".hidden/2.jpg", "a/.3.jpg", "results/quarantine/a/4.jpg")
    RunFolder(tmp_path / "results").create(tmp_path)
    listing = list_photos(tmp_path)
    assert names(listing) == [b"a/1.jpg"] and listing.hidden == 2
    assert listing.skipped == [(b"results/", "a RUN folder")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_folders_named_like_photos(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    touched(tmp_path, "folder.jpg/1.jpg")
    listing = list_photos(tmp_path)
    assert names(listing) == [b"folder.jpg/1.jpg"]
    assert listing.skipped == [(b"pipe.jpg", "not a regular file")] and listing.other_files == 1


@pytest.mark.skipif(os.name == "nt", reason="names are not bytes there")
def test_names_are_bytes(tmp_path: Path) -> None:
    odd = [b"\xff\xfe.jpg", "京A12345~2.jpg".encode(), b"two\nlines.jpg", b"n" * 251 + b".jpg", b" .jpg", b"\\xff.jpg"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).touch()
    assert names(list_photos(tmp_path)) == sorted(odd)


def test_a_folder_that_cannot_be_listed_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "a/1.jpg", "locked/2.jpg")
    scandir = os.scandir

    def refusing(folder: bytes) -> object:  # rights do not bind the superuser that tests may run as
        if b"locked" in folder:
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    listing = list_photos(tmp_path)
    assert names(listing) == [b"a/1.jpg"] and listing.unlisted == 1
    assert listing.skipped == [(b"locked/", "the folder cannot be listed (Permission denied)")]


def test_a_file_that_vanishes_while_its_folder_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched(tmp_path, "1.jpg", "2.jpg")
    scandir = os.scandir

    def listed(folder: bytes) -> object:
        entries = scandir(folder)
        (tmp_path / "1.jpg").unlink()
        return entries

    monkeypatch.setattr(os, "scandir", listed)
    assert names(list_photos(tmp_path)) == [b"2.jpg"]


def test_an_empty_folder_and_none(tmp_path: Path) -> None:
    assert len(list_photos(tmp_path)) == 0
    with pytest.raises(UserError, match="no such folder"):
        list_photos(tmp_path / "nothing")
