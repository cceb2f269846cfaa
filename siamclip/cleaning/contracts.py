"""What the parts of cleaning hand to each other.

    image scorer   RGB image -> one value a column                      runs in the scan, on one shared decode
    method         PhotoTable -> Findings or CopyPairs                       runs on the scanned table

Every photo is a row of `PhotoTable`; findings and pairs name photos by their row. Whether a photo goes or stays is
decided once, for all methods together, in `decide.py`: no method removes anything by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from siamclip.errors import UserError

NO_GROUP = -1
NO_LABEL = -1
NO_EMBEDDINGS, GET_EMBEDDINGS = "the scan holds no embeddings", "scan again with `embedder` newest, or a model's name"
Notes: TypeAlias = dict[str, str | float | int]  # what a method says of itself


@dataclass
class PhotoTable:
    """The scanned files, one row a file, in the order of their paths. Rows of unreadable files are there too.

    `columns` holds what the image scorers found (see method_table.py), one entry a row. Where a file could not be
    read, floats are NaN, integers 0, hashes 0 and text is empty: ask `readable` first.
    """

    root: Path
    paths: list[str]  # relative to root, with forward slashes
    content: np.ndarray  # (N,) "S32": xxh3-128 of the bytes in hexadecimal; empty where even that failed
    bytes: np.ndarray  # (N,) int64: file size
    errors: list[str]  # why a file could not be read; "" where it could
    labels: np.ndarray  # (N,) int64 index into `identities`, NO_LABEL where the collection is flat
    identities: list[str]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    embeddings: np.ndarray | None = None  # (N, D) float32 unit vectors, NaN where unknown
    embedder: str = ""  # its name
    same_distance: float | None = None  # up to which the embedder's checkpoint holds two photos for one identity
    # Rows of an archive: they are compared with the new photos but neither with each other nor
    # removed. All False otherwise.
    archived: np.ndarray | None = None
    sides: np.ndarray | None = None  # (N,) int8: 0 train, 1 validation, 2 test; None where there is no split
    # (N,) int64, 0 is the best: which photo of a crowd of equal ones its copies are paired with (keepers.py). None
    # for the order that needs no settings.
    preference: np.ndarray | None = None
    # (N,) bool: photos that go anyway, and among which methods on embeddings look for nothing. None for no photo.
    set_aside: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def readable(self) -> np.ndarray:
        """(N,) bool."""
        return np.array([not error for error in self.errors], dtype=bool)

    @property
    def is_archived(self) -> np.ndarray:
        """(N,) bool."""
        return np.zeros(len(self), bool) if self.archived is None else self.archived

    def column(self, name: str) -> np.ndarray:
        """(N, ...) values. Raises UserError for one that the scan did not compute."""
        if name not in self.columns:
            raise UserError("", f"the scan holds no {name!r}", "scan again with the scorer that gives it (see methods)")
        return self.columns[name]

    def vectors(self) -> np.ndarray:
        """`embeddings`; raises UserError where the scan has none."""
        if self.embeddings is None:
            raise UserError("", NO_EMBEDDINGS, GET_EMBEDDINGS)
        return self.embeddings

    def file(self, row: int) -> Path:
        return self.root / self.paths[row]


@dataclass
class Findings:
    """What one method says of some photos: arrays of equal length, one entry a finding.

    `score` is in the method's own unit. `flagged`: something is wrong with the photo; entries that are not
    flagged are there for context (the keeper of a group). `keep`: False proposes to remove the photo.
    `related` is the row of the photo that the finding speaks of beside its own (the keeper of its group, the
    nearest photo of the better label), or -1. `group` numbers the members of one group, or NO_GROUP.
    """

    method: str
    rows: np.ndarray  # (K,) int64
    score: np.ndarray  # (K,) float64
    flagged: np.ndarray  # (K,) bool
    reason: list[str]
    group: np.ndarray  # (K,) int64
    keep: np.ndarray  # (K,) bool
    related: np.ndarray  # (K,) int64
    # What the method chose from the data, or found out about itself (eps, clusters, recall of an index ...):
    # written beside the results and shown in the report.
    notes: Notes = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class CopyPairs:
    """Pairs of photos that one method holds for copies of each other: rows first < second, no pair twice.

    `distance` is in the method's own unit, lower is more alike. `inliers`: geometrically consistent matches,
    -1 where none were counted.
    """

    method: str
    first: np.ndarray  # (P,) int64
    second: np.ndarray  # (P,) int64
    distance: np.ndarray  # (P,) float32
    inliers: np.ndarray | None = None  # (P,) int32
    notes: Notes = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    def select(self, mask: np.ndarray) -> CopyPairs:
        """The pairs in the boolean mask (P,)."""
        inliers = None if self.inliers is None else self.inliers[mask]
        return CopyPairs(self.method, self.first[mask], self.second[mask], self.distance[mask], inliers, self.notes)


def proposed_removals(parts: Iterable[Findings], number: int) -> np.ndarray:
    """(`number`,) bool: some method wants the photo removed."""
    found = np.zeros(number, bool)
    for part in parts:
        found[part.rows[~part.keep]] = True
    return found


def findings(
    method: str,
    rows: Sequence[int] | np.ndarray,
    score: Sequence[float] | np.ndarray,
    reason: Sequence[str],
    flagged: bool | np.ndarray = True,
    keep: bool | np.ndarray = False,
    group: int | np.ndarray = NO_GROUP,
    related: int | np.ndarray = -1,
    notes: Mapping[str, str | float | int] | None = None,
) -> Findings:
    """`Findings` with single values repeated for every row, and the types as the contract says."""
    rows = np.asarray(rows, np.int64).reshape(-1)
    number = len(rows)
    if len(reason) != number or len(np.asarray(score)) != number:
        raise ValueError(f"{method}: {number} rows, {len(reason)} reasons, {len(np.asarray(score))} scores")

    def repeated(value: bool | int | np.ndarray, dtype: type) -> np.ndarray:
        return np.broadcast_to(np.asarray(value, dtype), (number,)).copy()

    return Findings(
        method,
        rows,
        np.asarray(score, np.float64),
        repeated(flagged, np.bool_),
        list(reason),
        repeated(group, np.int64),
        repeated(keep, np.bool_),
        repeated(related, np.int64),
        dict(notes or {}),
    )
