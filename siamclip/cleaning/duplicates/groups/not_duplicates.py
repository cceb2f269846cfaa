""" "These are not duplicates": pairs that the user has judged, kept by the files' content across runs.

    {"format": 1, "not_duplicates": [["<xxh3-128 of one file>", "<of the other>"], ...]}

Content, not names: the judgement survives renaming and moving, and holds for every byte-identical copy. What has
been edited is another photo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from siamclip.cleaning.contracts import PhotoTable
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

FORMAT = 1
HashPairs: TypeAlias = frozenset[tuple[str, str]]  # each pair in the order of the alphabet
_HASH = re.compile(r"[0-9a-f]{32}")


def by_content(photos: PhotoTable, rows: Iterable[tuple[int, int]]) -> HashPairs:
    """Pairs of rows as pairs of hashes. Raises ValueError for a row whose content is unknown."""
    found = set()
    for one, other in rows:
        hashes = sorted(photos.content[row].decode("ascii") for row in (one, other))
        if not hashes[0]:
            raise ValueError(f"rows {one} and {other}: the content of one of them could not be read")
        found.add((hashes[0], hashes[1]))
    return frozenset(found)


def among(photos: PhotoTable, first: np.ndarray, second: np.ndarray, remembered: HashPairs) -> np.ndarray:
    """(P,) bool: which pairs of rows are among the remembered ones."""
    if not remembered:
        return np.zeros(len(first), bool)
    known = np.unique(np.array([name.encode("ascii") for pair in remembered for name in pair], "S32"))
    number = np.searchsorted(known, photos.content).clip(max=len(known) - 1)
    number[known[number] != photos.content] = -1
    place = {name.decode("ascii"): i for i, name in enumerate(known)}
    codes = np.array([place[a] * len(known) + place[b] for a, b in remembered], np.int64)
    one, other = number[first], number[second]
    code = np.minimum(one, other) * len(known) + np.maximum(one, other)
    return (one >= 0) & (other >= 0) & np.isin(code, codes)


def read_not_duplicates(path: Path) -> HashPairs:
    """The pairs of a file; none where there is no file. Raises UserError for one that is not of this form."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise UserError(
            "", f"{path}: cannot be read ({error})", "restore it, or move it away to forget its decisions"
        ) from None
    pairs = content.get("not_duplicates") if isinstance(content, dict) else None
    if not isinstance(pairs, list) or content.get("format") != FORMAT:
        raise UserError(
            "",
            f"{path}: is no list of decisions",
            f'it must begin with {{"format": {FORMAT}, "not_duplicates": [',
        )
    for number, pair in enumerate(pairs):
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(name, str) and _HASH.fullmatch(name) for name in pair)
        ):
            raise UserError(
                "",
                f"{path}: entry {number + 1} of not_duplicates is {json.dumps(pair)[:80]}",
                "each is a list of two content hashes of 32 hexadecimal digits",
            )
    return frozenset((min(a, b), max(a, b)) for a, b in pairs)


def write_not_duplicates(path: Path, pairs: HashPairs) -> None:
    """Replace the file. Raises UserError if it cannot be written; the old one then stays whole."""
    text = json.dumps({"format": FORMAT, "not_duplicates": sorted(pairs)}, indent=1)
    try:
        write_atomically(path, text.encode("ascii"))
    except OSError as error:
        raise UserError("", f"{path}: the decisions cannot be saved ({error.strerror})") from error


def remember_not_duplicates(path: Path, pairs: HashPairs) -> HashPairs:
    """Add pairs to the file, which is made if need be; returns all that it holds now."""
    together = read_not_duplicates(path) | pairs
    write_not_duplicates(path, together)
    return together


def known_not_duplicates(path: Path, given: Path | None) -> HashPairs:
    """The pairs of the RUN's file `path`, and those of another RUN's file, which `path` holds from now on.

    Raises UserError for a given file that is not there.
    """
    if given is None:
        return read_not_duplicates(path)
    if not given.is_file():
        raise UserError(
            "not_duplicates", "no such file", "it is not_duplicates.json in the folder of a run", value=given
        )
    return remember_not_duplicates(path, read_not_duplicates(given))
