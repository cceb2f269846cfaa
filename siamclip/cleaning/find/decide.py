"""What stays and what goes, decided once for the findings and pairs of all methods together.

    quality, outliers, labels ... say which photos they want removed
    copies are grouped around keepers, for which photos that nobody wants removed are preferred (duplicates/keepers.py)
    photos of an archive and of protected folders stay
    no identity falls below `min_per_class` different photos: the best of those that would go stay
    the same photo under two labels is shown as a label conflict and decided by the user

Laws, each of them tested: a photo that only duplicate methods remove has a direct copy, within their threshold, that
stays; a photo goes if and only if one of its findings has keep = False; the order of the files changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, PhotoTable
from siamclip.cleaning.duplicates.groups.credible import chosen, credible
from siamclip.cleaning.duplicates.groups.grouping import group
from siamclip.cleaning.duplicates.groups.keepers import in_folders, rank
from siamclip.cleaning.duplicates.groups.label_conflicts import label_conflicts
from siamclip.cleaning.duplicates.groups.members import member_findings
from siamclip.cleaning.duplicates.groups.not_duplicates import HashPairs
from siamclip.cleaning.find.class_counts import ClassCounts, class_counts
from siamclip.cleaning.find.min_per_class import spared
from siamclip.errors import UserError, printable

if TYPE_CHECKING:
    from siamclip.cleaning.duplicates.geometry.geometry import Verdicts


@dataclass
class Decision:
    """`findings`: those given, in their order, then one a duplicate method, then the label conflicts.

    Numbers of duplicate groups are shared by all duplicate methods; label conflicts have numbers of their own
    after them.
    """

    findings: list[Findings]
    remove: np.ndarray  # (N,) bool
    spared: np.ndarray  # (N,) bool: would go, were it not for min_per_class
    group: np.ndarray  # (N,) int64, NO_GROUP for a photo without a copy
    keeper: np.ndarray  # (N,) int64: the row that stays for it, its own for a keeper, -1 without a copy
    copies: list[CopyPairs]  # whatever shows one photo, under one label or two: what leaks and splits depend on
    counts: ClassCounts
    notes: dict[str, str | float | int]


def decide(
    photos: PhotoTable,
    findings: Sequence[Findings],
    pairs: Sequence[CopyPairs],
    *,
    same_identity: float,
    verdicts: Mapping[str, Verdicts] | None = None,
    min_per_class: int = 2,
    protected: Sequence[str] = (),
    not_duplicates: HashPairs = frozenset(),
) -> Decision:
    """`findings` of all other methods and `pairs` of all duplicate methods in, what is done with each photo out.

    `same_identity`, `verdicts`: see credible.py. `protected`: folders, relative to the root, from which nothing
    is removed. `min_per_class`: photos with the same bytes or pixels count as one; an identity that has fewer keeps
    what it has. Raises UserError for settings out of range.
    """
    if min_per_class < 0:
        raise UserError(f"--min_per_class {min_per_class}: must be 0 or more")
    if not 0 <= same_identity <= 2:
        raise UserError(f"--same_identity {same_identity}: must be in [0, 2], a distance between unit vectors")
    given = [_without(part, photos.is_archived) for part in findings]
    order = rank(photos, protected, unwanted=proposed(given, len(photos)))
    judged = credible(photos, pairs, same_identity, verdicts, not_duplicates)
    usable = [_for_the_labelled(photos, part, order) for part in judged.copies]
    groups, keepers = group(usable, order)
    together = given + member_findings(photos, usable, groups, keepers)

    guarded = in_folders(photos, protected) & proposed(together, len(photos))
    together = [_kept(part, guarded, lambda row: "its folder is protected") for part in together]
    saved = spared(photos, proposed(together, len(photos)), order, keepers, judged.copies, min_per_class)

    def too_few(row: int) -> str:
        return f"{printable(photos.identities[photos.labels[row]])} would have fewer than {min_per_class} photos"

    together = [_kept(part, saved, too_few) for part in together]
    conflicts = label_conflicts(photos, judged.conflicts, order, first_group=int(groups.max(initial=-1)) + 1)
    remove = proposed(together, len(photos))
    notes = judged.notes | {
        "groups of copies": int(groups.max(initial=-1)) + 1,
        "copies beside their keepers": int((keepers >= 0).sum() - (keepers == np.arange(len(photos))).sum()),
        "photos under two labels": len(conflicts),
        "kept because of min_per_class": int(saved.sum()),
        "kept because their folder is protected": int(guarded.sum()),
        "findings about photos of the archive left out": sum(map(len, findings)) - sum(map(len, given)),
    }
    return Decision(
        [*together, conflicts],
        remove,
        saved,
        groups,
        keepers,
        judged.copies + judged.conflicts,
        class_counts(photos, remove),
        notes,
    )


def proposed(findings: Sequence[Findings], number: int) -> np.ndarray:
    """(N,) bool: some method wants the photo removed."""
    found = np.zeros(number, bool)
    for part in findings:
        found[part.rows[~part.keep]] = True
    return found


def _without(part: Findings, rows: np.ndarray) -> Findings:
    """The findings about other rows than those in the mask (N,)."""
    stay = ~rows[part.rows]
    if stay.all():
        return part
    return Findings(
        part.method,
        part.rows[stay],
        part.score[stay],
        part.flagged[stay],
        [reason for reason, here in zip(part.reason, stay, strict=True) if here],
        part.group[stay],
        part.keep[stay],
        part.related[stay],
        part.notes,
    )


def _kept(part: Findings, rows: np.ndarray, why: Callable[[int], str]) -> Findings:
    """The findings with keep = True for the rows in the mask (N,), and the reason for it."""
    changed = rows[part.rows] & ~part.keep
    if not changed.any():
        return part
    reason = list(part.reason)
    for i in np.flatnonzero(changed):
        reason[i] += f"; kept: {why(int(part.rows[i]))}"
    return replace(part, keep=part.keep | changed, reason=reason)


def _for_the_labelled(photos: PhotoTable, part: CopyPairs, order: np.ndarray) -> CopyPairs:
    """Without the pairs in which a photo with a label would go in favour of one without."""
    first, second = part.first, part.second
    worse, better = np.where(order[first] > order[second], (first, second), (second, first))
    return chosen(part, (photos.labels[worse] == NO_LABEL) | (photos.labels[better] != NO_LABEL))
