"""The journal of a run: what apply and undo are about to do, flushed to the disk before they do it.

One JSON object a line, only ever appended. File names that are no UTF-8 stay reversible: their bytes are lone
surrogates in Python, which JSON writes as \\udcXX.

    {"event": "apply", "format": 1, "journal": "3f...", "round": 1, "root": "/photos", "quarantine": null, "time": ...}
    {"event": "move", "id": 7, "round": 1, "path": "a/b.jpg", "to": "a/b.jpg", "content": ..., "bytes": ...,
     "reason": ..., "methods": [...]}
    {"event": "moved", "ids": [6, 7]}    also: not_moved, return, returned, not_returned
    {"event": "applied", "round": 1}

`quarantine` is null where it is the run's own, so that a RUN folder may be moved. What was announced ("move",
"return") and not answered was under way when the process ended: recovery.py looks what came of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from siamclip.errors import UserError

FORMAT = 1
_STATE_AFTER = {
    "moved": "moved",
    "not_moved": "in place",
    "return": "returning",
    "returned": "in place",
    "not_returned": "moved",
}


@dataclass(frozen=True, slots=True)
class Removal:
    """A photo to be moved away: its path below the root, its scanned content hash and size, and who says why."""

    path: str
    content: str
    bytes: int
    reason: str
    methods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keeper:
    """A photo that stays for a copy of it which goes: its path below the root (absolute, in an archive), the content
    hash and size of the scan."""

    path: str
    content: str
    bytes: int


@dataclass(slots=True)
class Move:
    """One removal on its way: `state` is "moving", "moved", "returning" or "in place"."""

    id: int
    round: int
    removal: Removal
    to: str  # below the quarantine
    state: str


@dataclass(frozen=True, slots=True)
class Round:
    """One apply: from which collection to which quarantine (None: the run's own)."""

    number: int
    root: Path
    quarantine: Path | None


@dataclass
class History:
    """What a journal says: its rounds, and its moves in their order."""

    identity: str = ""
    rounds: dict[int, Round] = field(default_factory=dict)
    moves: dict[int, Move] = field(default_factory=dict)
    open_round: Round | None = None  # begun, not finished and not undone: the next apply goes on with it

    def in_state(self, *states: str) -> list[Move]:
        return [move for move in self.moves.values() if move.state in states]

    def replay(self, record: dict[str, Any]) -> None:
        """Take one record in. Raises KeyError, TypeError or ValueError for what is none."""
        event = record["event"]
        if event == "apply":
            if record["format"] != FORMAT:
                raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
            self.identity = record["journal"]
            folder = record["quarantine"]
            self.open_round = Round(record["round"], Path(record["root"]), None if folder is None else Path(folder))
            self.rounds[record["round"]] = self.open_round
        elif event == "move":
            fields = (record["path"], record["content"], record["bytes"], record["reason"], tuple(record["methods"]))
            self.moves[record["id"]] = Move(record["id"], record["round"], Removal(*fields), record["to"], "moving")
        elif event == "applied":
            self.open_round = None
        else:
            if event == "return":
                self.open_round = None
            for number in record["ids"]:
                self.moves[number].state = _STATE_AFTER[event]


class Journal:
    """A journal that is open for writing: a context manager, used under the run's lock."""

    def __init__(self, path: Path) -> None:
        """Read what is there and open it. Raises UserError for a damaged journal, or one that cannot be written."""
        self.path = path
        self.history, whole = _read(path)
        try:
            new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            if new:
                _sync_folder(path.parent)
            os.ftruncate(self._descriptor, whole)  # a torn last line announces what never began
        except OSError as error:
            raise UserError(
                "", f"{path}: cannot be written ({error.strerror})", "nothing is moved without it"
            ) from None
        self._end = whole

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)

    def begin(self, root: Path, quarantine: Path | None) -> Round:
        """A new round, or the one that was interrupted, where it has the same root and quarantine."""
        unfinished = self.history.open_round
        if unfinished is not None and (unfinished.root, unfinished.quarantine) == (root, quarantine):
            return unfinished
        number = max(self.history.rounds, default=0) + 1
        self._append(
            {
                "event": "apply",
                "format": FORMAT,
                "journal": self.history.identity or uuid.uuid4().hex,
                "round": number,
                "root": str(root),
                "quarantine": None if quarantine is None else str(quarantine),
                "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
        )
        return self.history.rounds[number]

    def announce(self, round_: Round, removals: Iterable[tuple[Removal, str]]) -> list[Move]:
        """Write down moves, each with where it goes below the quarantine; on the disk when this returns."""
        first = next(reversed(self.history.moves), 0) + 1
        records = [
            {"event": "move", "id": first + n, "round": round_.number, "to": to, **asdict(removal)}
            for n, (removal, to) in enumerate(removals)
        ]
        self._append(*records)
        return [self.history.moves[record["id"]] for record in records]

    def mark(self, event: str, moves: Sequence[Move]) -> None:
        """`event`: moved, not_moved, return, returned or not_returned."""
        if moves:
            self._append({"event": event, "ids": [move.id for move in moves]})

    def finish(self, round_: Round) -> None:
        self._append({"event": "applied", "round": round_.number})

    def part_name(self, move: Move) -> str:
        """The name of the copy of a file while it is under way; hidden, so that no scan takes it for a photo."""
        return f".siamclip-{self.history.identity[:12]}-{move.id}.part"

    def _append(self, *records: dict[str, Any]) -> None:
        data = b"".join(json.dumps(record).encode("ascii") + b"\n" for record in records)
        try:
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # what is left of it is a torn line, which readers leave out
                os.ftruncate(self._descriptor, self._end)
            raise UserError(
                "",
                f"{self.path}: cannot be written ({error.strerror})",
                "make room there, then run the same command again",
            ) from None
        self._end += len(data)
        for record in records:
            self.history.replay(record)


def read_history(path: Path) -> History:
    """What the journal says; an empty history where there is none. Raises UserError for a damaged one."""
    return _read(path)[0]


def _read(path: Path) -> tuple[History, int]:
    """The history, and the length of the journal in bytes up to the end of its last whole line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = b""
    except OSError as error:
        raise UserError("", f"{path}: cannot be read ({error.strerror})", "nothing is moved without it") from None
    history, end = History(), 0
    lines = content.split(b"\n")[:-1]  # a last line without its end was being written when the process ended
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            if any(_is_record(later) for later in lines[number:]):
                raise UserError("", f"{path}: line {number} is damaged", "restore the file from a backup") from None
            break  # written by a machine that lost its power: blocks of zeros where the last lines would be
        try:
            history.replay(record)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError("", f"{path}: line {number} is no record of a journal ({error!r})") from None
        end += len(line) + 1
    return history, end


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
