"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.errors import UserError
from siamclip.files.atomic import draft_of, replacing, write_atomically


def test_an_error_leaves_what_was_there_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    with pytest.raises(KeyboardInterrupt), draft_of(path) as draft:
        draft.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    with pytest.raises(FileNotFoundError), draft_of(path):
        pass  # nothing was written
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("车" * 85)  # 255 bytes
    write_atomically(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path, "out") as file:
        file.write("half")
        file.flush()
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path, "out") as file:
        file.write("新")
        assert path.read_text() == "old"
    assert path.read_bytes() == "新".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"^out .*out\.csv: cannot be written \(No such file .*\); nothing"),
        replacing(tmp_path / "no" / "out.csv", "out"),
    ):
        pass
