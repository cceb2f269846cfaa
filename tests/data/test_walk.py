"""Which files of a folder are photos."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.data.walk import photos_below


def test_photos_at_any_depth_in_order_and_nothing_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".hidden.jpg", "note.txt", "x/y/z.webp", ".cache/c.jpg", "two\nlines.tiff", "无"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [path.relative_to(tmp_path).as_posix() for path in photos_below(tmp_path)]
    assert found == ["a.png", "b.JPG", "two\nlines.tiff", "x/y/z.webp"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    for path in (folder, elsewhere):
        path.mkdir()
        (path / "photo.jpg").touch()
    (folder / "loop").symlink_to(folder)
    (folder / "link").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)
    assert photos_below(folder) == [folder / "photo.jpg", folder / "link" / "photo.jpg"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        photos_below(tmp_path / "none")
