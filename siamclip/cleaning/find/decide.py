"""What stays and what goes, decided once for the findings and pairs of all methods together.

    quality, outliers, labels ... say which photos they want removed
    copies are grouped around keepers, for which photos that nobody wants removed are preferred (keepers.py)
    photos of an archive and of protected folders stay
    no identity falls below `min_per_class` different photos: the best of those that would go stay, so that cleaning
    uses up no identity
    the same photo under two labels is shown as a label conflict and decided by the user

Laws, each of them tested: a photo that only duplicate methods remove has a direct copy, within their threshold, that
stays; a photo goes if and only if one of its findings has keep = False; the order of the files changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, Notes, PhotoTable, proposed_removals
from siamclip.cleaning.duplicates.groups.findings import label_conflicts, member_findings
from siamclip.cleaning.duplicates.groups.grouping import components, group
from siamclip.cleaning.duplicates.groups.keepers import in_folders
from siamclip.cleaning.duplicates.groups.not_duplicates import HashPairs
from siamclip.cleaning.duplicates.groups.pair_filter import credible
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError, printable

if TYPE_CHECKING:
    from siamclip.cleaning.duplicates.geometry.geometric_verification import Verdicts


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


@dataclass
class RemovalDecision:
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
    split_group: np.ndarray  # (N,) int64: what hangs together through copies has one number: groups.csv
    counts: ClassCounts
    notes: Notes


def decide_removals(
    photos: PhotoTable,
    findings: Sequence[Findings],
    pairs: Sequence[CopyPairs],
    rank: np.ndarray,
    *,
    same_identity: float,
    verdicts: Mapping[str, Verdicts] | None = None,
    min_per_class: int = 2,
    protected: Sequence[str] = (),
    not_duplicates: HashPairs = frozenset(),
) -> RemovalDecision:
    """`findings` of all other methods and `pairs` of all duplicate methods in, what is done with each photo out.

    `rank`: (N,) int64, the order in which photos are preferred as keepers (see keepers.py), by what `findings` wants
    removed. `same_identity`, `verdicts`: see pair_filter.py. `protected`: folders, relative to the root, from which
    nothing is removed. `min_per_class`: photos with the same bytes or pixels count as one; an identity that has fewer
    keeps what it has. Raises UserError for settings out of range.
    """
    if min_per_class < 0:
        raise UserError("min_per_class", "must be 0 or more", value=min_per_class)
    if not 0 <= same_identity <= 2:
        raise ValueError(f"same_identity {same_identity}: must be in [0, 2], a distance between unit vectors")
    given = [_without(part, photos.is_archived) for part in findings]
    judged = credible(photos, pairs, same_identity, verdicts, not_duplicates)
    usable = [_without_labelled_losers(photos, part, rank) for part in judged.copies]
    groups, keepers = group(usable, rank)
    together = given + member_findings(photos, usable, groups, keepers)

    guarded = in_folders(photos, protected) & proposed_removals(together, len(photos))
    together = [_kept(part, guarded, lambda row: "its folder is protected") for part in together]
    goes = proposed_removals(together, len(photos))
    saved = _spared(photos, goes, rank, keepers, judged.copies, min_per_class)

    def too_few(row: int) -> str:
        return f"{printable(photos.identities[photos.labels[row]])} would have fewer than {min_per_class} photos"

    together = [_kept(part, saved, too_few) for part in together]
    conflicts = label_conflicts(photos, judged.conflicts, rank, first_group=int(groups.max(initial=-1)) + 1)
    remove = proposed_removals(together, len(photos))
    notes = judged.notes | {
        "groups of copies": int(groups.max(initial=-1)) + 1,
        "copies beside their keepers": int((keepers >= 0).sum() - (keepers == np.arange(len(photos))).sum()),
        "photos under two labels": len(conflicts),
        "kept because of min_per_class": int(saved.sum()),
        "kept because their folder is protected": int(guarded.sum()),
        "findings about photos of the archive left out": sum(map(len, findings)) - sum(map(len, given)),
    }
    copies = judged.copies + judged.conflicts
    return RemovalDecision(
        [*together, conflicts],
        remove,
        saved,
        groups,
        keepers,
        copies,
        components(len(photos), *((part.first, part.second) for part in copies)),
        class_counts(photos, remove),
        notes,
    )


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


def _without_labelled_losers(photos: PhotoTable, part: CopyPairs, order: np.ndarray) -> CopyPairs:
    """Without the pairs in which a photo with a label would go in favour of one without."""
    first, second = part.first, part.second
    worse, better = np.where(order[first] > order[second], (first, second), (second, first))
    return part.select((photos.labels[worse] == NO_LABEL) | (photos.labels[better] != NO_LABEL))


def _spared(
    photos: PhotoTable,
    remove: np.ndarray,
    rank: np.ndarray,
    keeper: np.ndarray,
    copies: Sequence[CopyPairs],
    least: int,
) -> np.ndarray:
    """(N,) bool: photos to keep although `remove` (N,) bool says otherwise, so that each identity keeps `least`.

    An identity that has fewer photos keeps as many as it has. Photos with the same bytes or pixels count as one, and
    so at most one of them is spared: a second one would teach nothing. Photos without a copy that stays come
    first, then the better `rank` (N,). `keeper`: (N,), as grouping.group gives it. Unreadable files and
    photos without a label do not count.
    """
    identical = components(
        len(photos), *((part.first, part.second) for part in copies if METHODS[part.method].identical)
    )
    rows = np.flatnonzero(photos.readable & (photos.labels != NO_LABEL))
    labels = photos.labels[rows]
    _, one, different = np.unique(labels * len(photos) + identical[rows], return_index=True, return_inverse=True)
    stays = np.bincount(different, ~remove[rows]) > 0  # of each different photo
    number = len(photos.identities)
    present = np.bincount(labels[one], minlength=number)
    kept = np.bincount(labels[one], stays, minlength=number).astype(np.int64)
    missing = np.minimum(present, least) - kept

    candidates = ~stays[different]
    rows, labels, different = rows[candidates], labels[candidates], different[candidates]
    has_copy = (keeper[rows] >= 0) & (keeper[rows] != rows) & ~remove[keeper[rows]]
    order = np.lexsort((rank[rows], has_copy, labels))
    order = order[np.sort(np.unique(different[order], return_index=True)[1])]  # the best of each different photo
    rows, labels = rows[order], labels[order]
    nth = np.arange(len(rows)) - np.searchsorted(labels, labels)  # 0 is the first of its identity
    result = np.zeros(len(photos), bool)
    result[rows[nth < missing[labels]]] = True
    return result


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
