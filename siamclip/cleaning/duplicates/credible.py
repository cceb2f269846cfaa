"""Which pairs are copies, which are one photo under two labels, and which are neither.

Methods know nothing of labels. Here they count: within an identity photos are meant to be alike, so that a Siamese
network learns from them, and two identities may hold vehicles of the same model.

    pair                            exact, pixels, perceptual   semantic
    one label                       copy                        copy up to `same_identity`
    a label and none                copy                        copy up to `same_identity`
    flat collection                 copy                        copy
    two labels                      label conflict              label conflict with `min_inliers` matching points
    an archived photo twice, an unreadable one, "not duplicates" of the user: nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, Pairs, Photos
from siamclip.cleaning.duplicates.evidence import is_semantic
from siamclip.cleaning.remembered import HashPairs, among


@dataclass
class Credible:
    """Per method, in the order given: pairs that are copies of each other, and pairs under two labels."""

    copies: list[Pairs]
    conflicts: list[Pairs]
    notes: dict[str, str | float | int] = field(default_factory=dict)


def credible(
    photos: Photos,
    pairs: Sequence[Pairs],
    same_identity: float,
    min_inliers: int,
    not_duplicates: HashPairs = frozenset(),
) -> Credible:
    """Sort all pairs by the table above. `same_identity`: largest semantic distance, in the unit of the pairs."""
    found = Credible([], [])
    readable, archived = photos.readable, photos.is_archived
    views, models, remembered = 0, 0, 0
    for part in pairs:
        first, second = photos.labels[part.first], photos.labels[part.second]
        takes_part = readable[part.first] & readable[part.second]
        takes_part &= ~(archived[part.first] & archived[part.second])
        refused = among(photos, part.first, part.second, not_duplicates) & takes_part
        takes_part &= ~refused
        remembered += int(refused.sum())
        crosses = (first != second) & (first != NO_LABEL) & (second != NO_LABEL)
        copy, conflict = takes_part & ~crosses, takes_part & crosses
        if is_semantic(part.method):
            flat = (first == NO_LABEL) & (second == NO_LABEL)
            near = flat | (part.distance <= same_identity)
            sure = np.zeros(len(part), bool) if part.inliers is None else part.inliers >= min_inliers
            views += int((copy & ~near).sum())
            models += int((conflict & ~sure).sum())
            copy, conflict = copy & near, conflict & sure
        found.copies.append(chosen(part, copy))
        found.conflicts.append(chosen(part, conflict))
    found.notes = {
        "semantic pairs inside one identity left alone (other views)": views,
        "semantic pairs across identities not confirmed by matching points": models,
        "pairs left out as remembered not duplicates": remembered,
    }
    return found


def chosen(pairs: Pairs, mask: np.ndarray) -> Pairs:
    """The pairs in the boolean mask (P,)."""
    inliers = None if pairs.inliers is None else pairs.inliers[mask]
    return Pairs(pairs.method, pairs.first[mask], pairs.second[mask], pairs.distance[mask], inliers, pairs.notes)
