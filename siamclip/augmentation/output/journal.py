"""journal.jsonl: the images that are whole on the disk, a line each, only ever appended.

    {"name": "classes/a/1+2.linear.png", "bytes": 9120, "xxh3": "5c...", "path": ..., "method": ..., ...}

`name` is what the image would be called if it were kept, the rest a row of the manifest. Memory holds a name and a
place for each line, not the rows.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import IO, Any

import xxhash

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output.manifest import GATE, as_record, from_record
from siamclip.files.atomic import draft_of

_OWN = ("name", "bytes", "xxh3")


class OutputJournal:
    """Opened for one process at a time, under the folder's lock. Methods raise OSError where the disk fails."""

    def __init__(self, folder: Path) -> None:
        """Take in the rows whose files are whole; a line that is torn, or whose file is not, is left out for good."""
        self._folder = folder
        self.path = folder / "journal.jsonl"
        self.reasons: Counter[str] = Counter()  # "" for images that were kept
        self.scores: set[str] = set()
        self._places: dict[str, tuple[str, int]] = {}  # name -> the image's path, where its line begins
        self._file: IO[bytes] = self.path.open("a+b")
        if self._load():
            self._compact()

    @property
    def names(self) -> Set[str]:
        return self._places.keys()

    def append(self, rows: Sequence[tuple[str, bytes, MadeImage]]) -> None:
        """(name, the file's content, the row) each; on the disk when this returns."""
        records = [
            {"name": name, "bytes": len(content), "xxh3": xxhash.xxh3_128_hexdigest(content), **as_record(image)}
            for name, content, image in rows
        ]
        end = self._file.seek(0, os.SEEK_END)
        try:
            for record in records:
                self._file.write(_line(record))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            # Opened anew: its buffer holds what could not be written, and would fail again when it is closed.
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = self.path.open("a+b")
            with contextlib.suppress(OSError):  # what is left of it is a torn line, which readers leave out
                self._file.truncate(end)
            raise
        for record in records:
            self._register(record, end)
            end += len(_line(record))

    def images(self) -> Iterator[MadeImage]:
        """In the order of their paths, read one by one."""
        with self.path.open("rb") as file:
            for _, start in sorted(self._places.values()):
                file.seek(start)
                record = json.loads(file.readline())
                yield from_record({name: value for name, value in record.items() if name not in _OWN})

    def close(self) -> None:
        self._file.close()

    def _load(self) -> bool:
        """Whether there are lines that do not count."""
        self._file.seek(0)
        start, dropped = 0, False
        for line in self._file:
            record = _record(line)
            if record is not None and record["name"] not in self._places and self._is_whole(record):
                self._register(record, start)
            else:
                dropped = True
            start += len(line)
        return dropped

    def _register(self, record: dict[str, Any], start: int) -> None:
        self._places[record["name"]] = record["path"], start
        self.reasons[record["rejected"]] += 1
        self.scores |= {name.removeprefix(GATE) for name in record if name.startswith(GATE)}

    def _is_whole(self, record: dict[str, Any]) -> bool:
        file = self._folder / record["path"]
        try:
            if file.stat().st_size != record["bytes"]:
                return False
            return xxhash.xxh3_128_hexdigest(file.read_bytes()) == record["xxh3"]
        except OSError:
            return False

    def _compact(self) -> None:
        with draft_of(self.path) as draft:
            with draft.open("wb") as file:
                for name, (path, start) in sorted(self._places.items(), key=lambda item: item[1][1]):
                    self._file.seek(start)
                    self._places[name] = path, file.tell()
                    file.write(self._file.readline())
            self._file.close()  # before it is replaced: Windows keeps what is open
        self._file = self.path.open("a+b")


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode("ascii") + b"\n"  # names that are no UTF-8 are lone surrogates: \udcXX


def _record(line: bytes) -> dict[str, Any] | None:
    """None for a line that is not whole."""
    try:
        record: dict[str, Any] = json.loads(line)
        from_record({name: value for name, value in record.items() if name not in _OWN})
        return record if line.endswith(b"\n") and all(name in record for name in _OWN) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
