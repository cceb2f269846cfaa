"""How many photos each identity has, and would have: shown before anything is moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.errors import printable
from siamclip.files import csv_table

if TYPE_CHECKING:
    from rich.table import Table

WITHOUT_LABEL = "(no folder)"


@dataclass(frozen=True)
class ClassCounts:
    """Readable photos of each identity; a last entry for photos without one where there are any."""

    identities: list[str]
    before: np.ndarray  # (C,) int64
    after: np.ndarray  # (C,) int64

    def rows(self) -> list[tuple[str, int, int]]:
        """(identity, before, after) each."""
        return list(zip(self.identities, self.before.tolist(), self.after.tolist(), strict=True))


def class_counts(photos: PhotoTable, remove: np.ndarray) -> ClassCounts:
    """`remove`: (N,) bool. Photos of an archive count in both, unreadable files in neither."""
    number = len(photos.identities)
    labels = np.where(photos.labels == NO_LABEL, number, photos.labels)
    before = np.bincount(labels[photos.readable], minlength=number + 1)
    after = np.bincount(labels[photos.readable & ~remove], minlength=number + 1)
    names = [*photos.identities, WITHOUT_LABEL]
    if not (photos.labels == NO_LABEL).any():
        names, before, after = names[:-1], before[:-1], after[:-1]
    return ClassCounts(names, before.astype(np.int64), after.astype(np.int64))


def as_table(counts: ClassCounts, most: int = 20) -> Table:
    """For the console: the identities that lose the largest share first, at most `most` of those that lose any."""
    from rich.table import Table
    from rich.text import Text

    table = Table("identity", "photos", "after", "goes", title="photos of each identity before and after")
    lost = counts.before - counts.after
    share = lost / np.maximum(counts.before, 1)
    order = [int(i) for i in np.lexsort((-lost, -share)) if lost[i]]
    for i in order[:most]:
        name = Text(printable(counts.identities[i]))
        table.add_row(name, str(counts.before[i]), str(counts.after[i]), f"{lost[i]} ({share[i]:.0%})")
    if len(order) > most:
        rest = order[most:]
        before, after = int(counts.before[rest].sum()), int(counts.after[rest].sum())
        table.add_row(f"{len(rest)} more that lose photos", str(before), str(after), str(before - after))
    same = np.flatnonzero(lost == 0)
    if len(same):
        total = str(counts.before[same].sum())
        table.add_row(f"{len(same)} that lose none", total, total, "0")
    table.add_row("all", str(counts.before.sum()), str(counts.after.sum()), str(lost.sum()), style="bold")
    return table


def as_csv(counts: ClassCounts) -> bytes:
    """identity,before,after."""
    return csv_table.as_csv(("identity", "before", "after"), counts.rows())
