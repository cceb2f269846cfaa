"""The journal: what it writes it reads again, whatever tore it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.apply.moving.journal import Journal, Removal, read_history
from siamclip.errors import UserError
from tests.cleaning.photo_trees import NOT_UTF8

REMOVAL = Removal("a/1.jpg", "0" * 32, 3, "blurred", ("laplacian", "sobel"))


def written(path: Path, root: Path = Path("/photos")) -> bytes:
    """A round of two moves, of which one is done."""
    with Journal(path) as journal:
        round_ = journal.begin(root, None)
        first, _ = journal.announce(round_, [(REMOVAL, "a/1.jpg"), (REMOVAL, "again-2/a/1.jpg")])
        journal.mark("moved", [first])
    return path.read_bytes()


def states(path: Path) -> list[str]:
    return [move.state for move in read_history(path).moves.values()]


def test_is_on_the_disk_before_anything_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(os, "write", lambda file, data: (events.append("write"), write(file, data))[1])
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("flush"), fsync(file))[1])
    with Journal(tmp_path / "journal") as journal:
        round_ = journal.begin(Path("/photos"), None)
        events.clear()
        journal.announce(round_, [(REMOVAL, "a/1.jpg")])
        assert events == ["write", "flush"]


@settings(max_examples=40)
@given(path=st.text(), to=st.binary(min_size=1), reason=st.text(), size=st.integers(0, 2**63))
def test_names_of_any_bytes_come_back(
    tmp_path_factory: pytest.TempPathFactory, path: str, to: bytes, reason: str, size: int
) -> None:
    file = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    removal = Removal(path, "f" * 32, size, reason, ("phash",))
    root, quarantine = Path("/photos") / NOT_UTF8, Path("/away") / NOT_UTF8
    with Journal(file) as journal:
        journal.announce(journal.begin(root, quarantine), [(removal, os.fsdecode(to))])
    history = read_history(file)
    (move,) = history.moves.values()
    assert (move.removal, move.to, move.state) == (removal, os.fsdecode(to), "moving")
    assert (history.rounds[1].root, history.rounds[1].quarantine) == (root, quarantine)
    file.unlink()


def test_states(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        moves = journal.announce(journal.begin(Path("/photos"), None), [(REMOVAL, str(n)) for n in range(6)])
        for number, events in enumerate(
            [
                (),
                ("moved",),
                ("not_moved",),
                ("moved", "return"),
                ("moved", "return", "returned"),
                ("moved", "return", "not_returned"),
            ]
        ):
            for event in events:
                journal.mark(event, [moves[number]])
        here = [move.state for move in journal.history.moves.values()]
    assert here == states(path) == ["moving", "moved", "in place", "returning", "in place", "moved"]


def test_cut_off_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix of a journal is a journal: of the lines that are whole."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug here
    whole = written(tmp_path / "whole")
    path = tmp_path / "cut"
    ends = {length for length in range(len(whole) + 1) if b"\n" in whole[length - 2 : length + 2]}
    for length in sorted({*range(0, len(whole), 11), *ends, len(whole)}):
        path.write_bytes(whole[:length])
        lines = whole[:length].count(b"\n")
        expected = [[], [], ["moving"], ["moving"] * 2, ["moved", "moving"]][lines]
        assert states(path) == expected
        with Journal(path) as journal:  # and can be gone on with
            round_ = journal.begin(Path("/photos"), None)
            journal.announce(round_, [(REMOVAL, "x")])
        assert states(path) == [*expected, "moving"]


def test_zeros_where_the_power_went(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    whole = written(path)
    path.write_bytes(whole + b"\0" * 300)
    assert states(path) == ["moved", "moving"]
    path.write_bytes(whole + b"\0" * 300 + b"\n" + b"\0" * 9 + b"\n")
    with Journal(path):
        pass
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (1, b'{"event": "move", "id"', "line 2 is damaged"),
        (1, b"[]", "line 2 is no record"),
        (1, b'{"event": "moved", "ids": [9]}', "line 2 is no record"),
        (1, b'{"event": "vanished", "ids": [1]}', "line 2 is no record"),
        (0, b'{"event": "apply", "format": 2}', "format 2, this version reads 1"),
    ],
)
def test_damage_in_the_middle(tmp_path: Path, line: int, text: bytes, said: str) -> None:
    path = tmp_path / "journal"
    lines = written(path).split(b"\n")
    lines[line] = text
    path.write_bytes(b"\n".join(lines))
    before = path.read_bytes()
    for read in (read_history, Journal):
        with pytest.raises(UserError, match=said) as error:
            read(path)
        assert str(error.value).startswith(str(path))
    assert path.read_bytes() == before


def test_a_full_disk_leaves_no_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    whole, write = written(path), os.write

    def full(file: int, data: Any) -> int:
        write(file, bytes(data)[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(path) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); make room there"):
                journal.announce(journal.history.rounds[1], [(REMOVAL, "x")])
        assert path.read_bytes() == whole
        assert [move.id for move in journal.announce(journal.history.rounds[1], [(REMOVAL, "x")])] == [3]
    assert states(path) == ["moved", "moving", "moving"]


def test_rounds(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path) as journal:
        first = journal.begin(Path("/a"), None)
        assert journal.begin(Path("/a"), None) == first  # interrupted: goes on
        assert journal.begin(Path("/b"), None).number == 2
        third = journal.begin(Path("/b"), Path("/q"))
        journal.finish(third)
    with Journal(path) as journal:
        assert journal.begin(Path("/b"), Path("/q")).number == 4
    identities = {json.loads(line).get("journal") for line in path.read_text().splitlines() if "format" in line}
    assert len(identities) == 1


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert read_history(tmp_path / "journal").moves == {}


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is moved without it"):
        Journal(tmp_path)
    with pytest.raises(UserError, match="cannot be written"):
        Journal(tmp_path / "nowhere" / "journal")
