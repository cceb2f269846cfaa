"""What people decided in the report, as the report exports it and apply takes it.

    {"format": 1,
     "run": "<what the report was made for>",
     "photos": [{"path": "a/b.jpg", "content": "<xxh3-128 of the file, 32 hexadecimal digits>", "keep": false}, ...],
     "not_duplicates": [["<content of one photo>", "<of the other>"], ...]}

A decision stands above the findings for its photo. It is about these bytes: where the content is another one now,
it is refused. `content` is empty where the scan could not even read the bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siamclip.errors import UserError

FORMAT = 1
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class UserDecision:
    """Keep this photo, or remove it, whatever the methods say."""

    path: str
    content: str
    keep: bool


@dataclass(frozen=True)
class UserDecisions:
    """No path twice in `photos`; each pair of `not_duplicates` in the order of the alphabet."""

    run: str
    photos: tuple[UserDecision, ...] = ()
    not_duplicates: tuple[tuple[str, str], ...] = ()


def to_json(decisions: UserDecisions) -> str:
    """What `read_decisions` reads."""
    photos = [{"path": photo.path, "content": photo.content, "keep": photo.keep} for photo in decisions.photos]
    pairs = [list(pair) for pair in decisions.not_duplicates]
    return json.dumps(
        {"format": FORMAT, "run": decisions.run, "photos": photos, "not_duplicates": pairs}, indent=1, sort_keys=False
    )


def read_decisions(path: Path) -> UserDecisions:
    """The decisions of a file. Raises UserError that names the file, the entry and what is wrong with it."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))  # editors on Windows put a mark in front
    except (OSError, ValueError, RecursionError) as error:
        raise UserError("decisions", f"cannot be read ({error})", "export it from the report again", path) from None
    if not isinstance(content, dict):
        raise UserError("decisions", "holds no decisions", "export it from the report again", path)
    if content.get("format") != FORMAT:
        raise UserError(
            "decisions",
            f"is of format {content.get('format')!r}, this version reads {FORMAT}",
            "make the report again and export from it",
            path,
        )
    run = content.get("run")
    if not isinstance(run, str):
        raise UserError("decisions", "'run' must be a text", "export it from the report again", path)
    photos = tuple(_decision(path, number, entry) for number, entry in _entries(path, content, "photos"))
    known: dict[str, int] = {}
    for number, photo in enumerate(photos, 1):
        if known.setdefault(photo.path, number) != number:
            raise _wrong(path, "photos", number, f"{photo.path!r} is decided in entry {known[photo.path]} already")
    pairs = tuple(_pair(path, number, entry) for number, entry in _entries(path, content, "not_duplicates"))
    return UserDecisions(run, photos, pairs)


def _entries(path: Path, content: dict[str, Any], key: str) -> Iterable[tuple[int, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list):
        raise UserError("decisions", f"{key!r} must be a list", "export it from the report again", path)
    return enumerate(entries, 1)


def _decision(path: Path, number: int, entry: Any) -> UserDecision:
    if not isinstance(entry, dict):
        raise _wrong(path, "photos", number, "must be {path, content, keep}")
    photo, content, keep = (entry.get(key) for key in ("path", "content", "keep"))
    if not isinstance(photo, str) or not photo:
        raise _wrong(path, "photos", number, "'path' must be a text")
    if not isinstance(content, str) or (content and not _HASH.fullmatch(content)):
        raise _wrong(path, "photos", number, "'content' must be 32 hexadecimal digits")
    if not isinstance(keep, bool):
        raise _wrong(path, "photos", number, "'keep' must be true or false")
    return UserDecision(photo, content, keep)


def _pair(path: Path, number: int, entry: Any) -> tuple[str, str]:
    is_pair = isinstance(entry, list) and len(entry) == 2
    if not is_pair or not all(isinstance(content, str) and _HASH.fullmatch(content) for content in entry):
        raise _wrong(path, "not_duplicates", number, "must be two contents of 32 hexadecimal digits")
    return min(entry), max(entry)


def _wrong(path: Path, key: str, number: int, what: str) -> UserError:
    return UserError("decisions", f"{key}, entry {number}: {what}", value=path)
