"""Whether a folder can take what a run makes: outside the collection, and empty or of the same run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from siamclip.errors import UserError
from siamclip.files.lock import LOCK
from siamclip.files.markers import MARKER

FORMAT = 1


def check_output_dir(path: Path, input_dir: Path, command: str, settings: Mapping[str, object]) -> None:
    """Raise UserError if `path` cannot be, or go on being, the output of this command; nothing is written.

    It must be new, or empty, or the folder of a run that was interrupted, of the same command on the same collection
    with the same `settings` (those that are known by now: they are compared, others are not). Neither it nor what it
    links to may lie in the collection or around it.
    """
    try:
        _check(path, input_dir, command, settings)
    except OSError as error:
        raise _unusable(path, f"cannot be used ({error.strerror or error})", "give another folder") from None


def _check(path: Path, input_dir: Path, command: str, settings: Mapping[str, object]) -> None:
    _check_apart(path, input_dir)
    if not path.exists():
        return
    if not path.is_dir():
        raise _unusable(path, "is a file", "give a folder")
    if not (path / MARKER).exists():
        if any(not _is_left_over(file.name) for file in path.iterdir()):
            raise _unusable(path, "is not empty", "give a new or an empty folder")
        return
    marker = read_marker(path)
    if marker["command"] != command:
        raise _unusable(path, f"holds what {marker['command']} made", f"give another folder for {command}")
    if marker["input_dir"] != str(input_dir.resolve()):
        raise _unusable(path, f"holds images made of {marker['input_dir']}", f"give another folder for {input_dir}")
    if differing := [name for name, value in as_json_values(settings).items() if marker["settings"].get(name) != value]:
        told = "; ".join(f"{name} was {_shown(marker['settings'].get(name))}" for name in differing)
        problem = f"holds the run of other settings ({told})"
        raise _unusable(path, problem, "give another folder, or these settings")


def _unusable(path: Path, problem: str, remedy: str) -> UserError:
    return UserError("output_dir", problem, remedy, path)


def read_marker(path: Path) -> dict[str, Any]:
    """command, input_dir, settings. Raises UserError where they cannot be read."""
    file = path / MARKER
    try:
        marker = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(file, f"cannot be read ({error})", "give another folder") from None
    kinds = {"command": str, "input_dir": str, "settings": dict}
    if not isinstance(marker, dict) or marker.get("format") != FORMAT:
        raise _unusable(file, "was written by another version", "give another folder")
    if not all(isinstance(marker.get(name), kind) for name, kind in kinds.items()):
        raise _unusable(file, "is damaged", "give another folder")
    return marker


def as_json_values(settings: Mapping[str, object]) -> dict[str, Any]:
    """As JSON brings them back: tuples become lists."""
    values: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    return values


def _check_apart(path: Path, input_dir: Path) -> None:
    for place in (path, *(path / name for name in ("classes", "cross_class", "rejected"))):
        if place != path and not place.is_symlink():
            continue
        if _is_same(place, input_dir):
            raise _unusable(path, "is the input folder itself", "give a folder of its own")
        if _lies_in(place, input_dir):
            raise _unusable(path, f"lies in `input_dir` {input_dir}", "give a folder outside it")
        if _lies_in(input_dir, place):
            raise _unusable(path, f"contains `input_dir` {input_dir}", "give a folder beside it")
    for link in _links_below(input_dir):
        if _is_same(link, path) or _lies_in(path, link) or _lies_in(link, path):
            raise _unusable(path, f"{link} of the input leads there", "give another folder")


def _links_below(folder: Path) -> Iterator[Path]:
    """Of the identities' folders, those that are links."""
    if folder.is_dir():
        with os.scandir(folder) as entries:
            links = (Path(entry.path) for entry in entries if entry.is_symlink())
            yield from (link for link in links if link.is_dir())  # the entry's own is_dir raises for a link to itself


def _lies_in(inner: Path, outer: Path) -> bool:
    """By the folders that are there, not by their names: a file system may have several for one."""
    return any(_is_same(parent, outer) for parent in inner.resolve().parents)


def _is_same(one: Path, other: Path) -> bool:
    if one.resolve() == other.resolve():
        return True
    return one.exists() and other.exists() and one.samefile(other)


def _is_left_over(name: str) -> bool:
    """By a process that was killed before it made anything."""
    return name == LOCK or (name.startswith(f".{MARKER}.") and name.endswith(".part"))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "empty"
    return "another" if value is None else str(value)
