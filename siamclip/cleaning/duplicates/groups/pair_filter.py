"""Which pairs are copies, which are one photo under two labels, and which are neither.

Methods know nothing of labels. Here they count: within an identity photos are meant to be alike, so that a Siamese
network learns from them, and two identities may hold vehicles of the same model.

    pair                            exact, pixels, perceptual   semantic
    one label                       copy                        copy up to `same_identity`
    a label and none                copy                        copy up to `same_identity`
    flat collection                 copy                        copy
    two labels                      label conflict              label conflict, if the geometry confirms it

Nothing are pairs within an archive, of an unreadable photo, those that the geometric check rejects, and those of which
the user said that they are no duplicates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, PhotoTable
from siamclip.cleaning.duplicates.groups.not_duplicates import HashPairs, among
from siamclip.cleaning.method_table import METHODS

if TYPE_CHECKING:
    from siamclip.cleaning.duplicates.geometry.geometric_verification import Verdicts


@dataclass
class Credible:
    """Per method, in the order given: pairs that are copies of each other, and pairs under two labels."""

    copies: list[CopyPairs]
    conflicts: list[CopyPairs]
    notes: dict[str, str | float | int] = field(default_factory=dict)


def credible(
    photos: PhotoTable,
    pairs: Sequence[CopyPairs],
    same_identity: float,
    verdicts: Mapping[str, Verdicts] | None = None,
    not_duplicates: HashPairs = frozenset(),
) -> Credible:
    """Sort all pairs by the table above.

    `same_identity`: the largest semantic distance, in the unit of the pairs, at which two photos of one identity are
    one view. `verdicts`: method -> what geometric_verification.py says of its pairs, in their order; a method
    without them was not checked.
    """
    found = Credible([], [])
    readable, archived = photos.readable, photos.is_archived
    views, models, remembered, rejected = 0, 0, 0, 0
    for part in pairs:
        first, second = photos.labels[part.first], photos.labels[part.second]
        takes_part = readable[part.first] & readable[part.second]
        takes_part &= ~(archived[part.first] & archived[part.second])
        refused = among(photos, part.first, part.second, not_duplicates) & takes_part
        takes_part &= ~refused
        remembered += int(refused.sum())
        verdict = (verdicts or {}).get(part.method)
        if verdict is not None:
            rejected += int((takes_part & verdict.rejected).sum())
            takes_part &= ~verdict.rejected
        crosses = (first != second) & (first != NO_LABEL) & (second != NO_LABEL)
        copy, conflict = takes_part & ~crosses, takes_part & crosses
        if METHODS[part.method].semantic:
            flat = (first == NO_LABEL) & (second == NO_LABEL)
            near = flat | (part.distance <= same_identity)
            sure = np.zeros(len(part), bool) if verdict is None else verdict.confirmed
            views += int((copy & ~near).sum())
            models += int((conflict & ~sure).sum())
            copy, conflict = copy & near, conflict & sure
        found.copies.append(part.select(copy))
        found.conflicts.append(part.select(conflict))
    found.notes = {
        "semantic pairs inside one identity left alone (other views)": views,
        "semantic pairs across identities not confirmed by the geometry": models,
        "pairs rejected by the geometry": rejected,
        "pairs left out as remembered not duplicates": remembered,
    }
    return found
