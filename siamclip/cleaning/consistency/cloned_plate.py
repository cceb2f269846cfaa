"""Suspected cloned plates: folders whose photos fall into two groups too far apart for one vehicle.

Each folder is split in two by Ward's agglomerative clustering. Photos of one vehicle from the front and from the rear
part as well, and part neatly: the two groups are then tight, and the silhouette (Rousseeuw 1987) is high. Two vehicles
each have all views, their groups are loose. So folders are ranked by how far apart the groups are, not by how neat
the split is; and as a single odd photo is an outlier or a label error rather than a second vehicle, uneven groups
count for less:

    score = (4 p (1 - p)) ** (1 / 4) * mean distance between the groups        p: share of the smaller group

What that finds and misses is measured in benchmarks/consistency.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.consistency.class_folders import Folders, folders_of
from siamclip.cleaning.consistency.neighbours import Notes, not_judged, require
from siamclip.cleaning.contracts import Findings, PhotoTable, findings
from siamclip.errors import printable

_REFERENCES = 1000  # photos of a larger folder that are split; the others follow the nearer group
_PAIRS = 200_000  # pairs of each kind that the same-vehicle distance is chosen on at most


def cloned_plate(
    photos: PhotoTable,
    *,
    same_distance: float | None = None,
    min_photos: int = 4,
    min_group: int = 2,
    seed: int = 0,
) -> Findings:
    """Every photo of the suspected folders; score: the folder's ranking number, in (same_distance, 2].

    same_distance: the distance up to which two photos are held for one vehicle; when not given, the checkpoint's own
    threshold; of a model without one, where pairs within folders and between folders are told apart with equal error
    rates. A folder is
    suspected where the score exceeds it. Folders with fewer than `min_photos` photos are not judged, nor are
    splits with a group below `min_group`. `group`: 2 * label for the larger group, 2 * label + 1 for the smaller one;
    `related`: the nearest photo on the other side. Archived photos count in the split and are no findings. Raises
    UserError for a setting out of range.
    """
    require(same_distance is None or 0 < same_distance < 2, "cloned_plate", "same_distance", same_distance, "in (0, 2)")
    require(min_photos >= 3, "cloned_plate", "min_photos", min_photos, "at least 3")
    require(min_group >= 1, "cloned_plate", "min_group", min_group, "at least 1")
    folders = folders_of(photos)
    large = list(folders.members(min_photos))
    notes: Notes = {"folders judged": len(large), "too few photos, not judged": len(folders.sizes) - len(large)}
    if not large:
        return not_judged("cloned_plate", f"no folder has {min_photos} photos", notes)
    if same_distance is None and photos.same_distance is not None:
        same_distance, notes["same_distance chosen by"] = photos.same_distance, f"the checkpoint {photos.embedder}"
    if same_distance is None:
        chosen = separating_distance(folders, seed)
        if chosen is None:
            return not_judged("cloned_plate", "one folder alone: give cloned_plate.same_distance", notes)
        same_distance, notes["same_distance chosen by"] = chosen, "equal error rate within and between folders"
    notes["same_distance"] = same_distance

    rng = np.random.default_rng(seed)
    suspected = []
    for members in large:
        split = _split(members, folders, rng)
        if split.smallest >= min_group and split.score > same_distance:
            suspected.append(split)
    suspected.sort(key=lambda split: (-split.score, split.label))
    notes["folders suspected"] = len(suspected)
    return _as_findings(photos, folders, suspected, same_distance, notes)


@dataclass(frozen=True)
class Split:
    """A folder in two: positions of its members, and which of them are in the smaller group."""

    label: int
    members: np.ndarray
    second: np.ndarray  # (n,) bool
    score: float
    between: float  # mean distance between the groups

    @property
    def smallest(self) -> int:
        return int(self.second.sum())


def split_score(distance: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The ranking number, and the mean distance between the groups, from (n, n) distances and the (n,) split."""
    between = float(distance[np.ix_(second, ~second)].mean())
    share = float(second.mean())
    return (4 * share * (1 - share)) ** 0.25 * between, between


def _split(members: np.ndarray, folders: Folders, rng: np.random.Generator) -> Split:
    """Ward's split (J. H. Ward 1963), the smaller group second; of equal ones, the one without the first photo."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import cdist, pdist, squareform

    few = members
    if len(members) > _REFERENCES:
        few = np.sort(rng.choice(members, _REFERENCES, replace=False))
    condensed = pdist(folders.vectors[few].astype(np.float64))
    parts = fcluster(linkage(condensed, "ward"), 2, "maxclust")
    second = parts != parts[0]
    if second.mean() > 0.5:
        second = ~second
    if not second.any():  # all photos are equal
        return Split(int(folders.labels[members[0]]), members, np.zeros(len(members), bool), 0.0, 0.0)
    score, between = split_score(squareform(condensed), second)
    if len(few) < len(members):
        to_few = cdist(folders.vectors[members], folders.vectors[few])
        second = to_few[:, second].mean(axis=1) < to_few[:, ~second].mean(axis=1)
    return Split(int(folders.labels[members[0]]), members, second, score, between)


def separating_distance(folders: Folders, seed: int) -> float | None:
    """Where as large a share of the pairs between folders is nearer as of those within is farther; None for one folder.

    All pairs where they are few, otherwise pairs drawn at random.
    """
    from siamclip.metrics.pair_distances import pair_distances
    from siamclip.metrics.verification import choose_threshold

    within, between = _pairs_within(folders, seed), _pairs_between(folders, seed)
    if not len(within) or not len(between):
        return None
    distance = pair_distances(folders.vectors, np.concatenate([within, between]))
    same = np.arange(len(distance)) < len(within)
    return choose_threshold(distance.astype(np.float64), same, "eer")


def _pairs_within(folders: Folders, seed: int) -> np.ndarray:
    """(P, 2) positions."""
    sizes = folders.sizes
    if int((sizes * (sizes - 1) // 2).sum()) <= _PAIRS:
        pairs = [members[np.stack(np.triu_indices(len(members), 1), 1)] for members in folders.members(2)]
        return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
    rng = np.random.default_rng([seed, 0])
    folder = np.repeat(np.arange(len(sizes)), sizes)
    first = rng.choice(np.flatnonzero(sizes[folder] > 1), _PAIRS)
    start, size = folders.starts[folder[first]], sizes[folder[first]]
    # Another photo of the same folder: a step of 1 to size - 1 around it.
    second = start + (first - start + rng.integers(1, size)) % size
    return np.stack([first, second], axis=1)


def _pairs_between(folders: Folders, seed: int) -> np.ndarray:
    """(P, 2) positions."""
    number = len(folders.rows)
    if number * (number - 1) // 2 <= _PAIRS:
        pairs = np.stack(np.triu_indices(number, 1), axis=1)
    else:
        pairs = np.random.default_rng([seed, 1]).integers(0, number, (_PAIRS, 2))
    different: np.ndarray = folders.labels[pairs[:, 0]] != folders.labels[pairs[:, 1]]
    return pairs[different]


def _as_findings(
    photos: PhotoTable, folders: Folders, suspected: list[Split], same_distance: float, notes: Notes
) -> Findings:
    rows, scores, reasons, groups, related = [], [], [], [], []
    for split in suspected:
        reason = _reason(photos, folders, split, same_distance)
        vectors = folders.vectors[split.members]
        for side in (False, True):
            here, there = split.members[split.second == side], split.members[split.second != side]
            cosines = vectors[split.second == side] @ vectors[split.second != side].T
            opposite = folders.rows[there[cosines.argmax(axis=1)]]
            new = ~photos.is_archived[folders.rows[here]]
            rows.append(folders.rows[here][new])
            related.append(opposite[new])
            groups.append(np.full(int(new.sum()), 2 * split.label + side))
            scores.append(np.full(int(new.sum()), split.score))
            reasons += [reason] * int(new.sum())
    if not rows:
        return findings("cloned_plate", [], [], [], notes=notes)
    return findings(
        "cloned_plate",
        np.concatenate(rows),
        np.concatenate(scores),
        reasons,
        keep=True,
        group=np.concatenate(groups),
        related=np.concatenate(related),
        notes=notes,
    )


def _reason(photos: PhotoTable, folders: Folders, split: Split, same_distance: float) -> str:
    from sklearn.metrics import silhouette_score

    members, second = split.members, split.second
    if len(members) > _REFERENCES:
        step = len(members) / _REFERENCES
        chosen = np.unique((np.arange(_REFERENCES) * step).astype(np.int64))
        members, second = members[chosen], second[chosen]
    vectors = folders.vectors[members].astype(np.float64)
    # Not defined for two photos, one a group; nor where the sample met one group only.
    defined = 2 <= len(np.unique(second)) < len(members)
    silhouette = f"silhouette {silhouette_score(vectors, second):.2f}, " if defined else ""
    return (
        f"{printable(photos.identities[split.label])}: groups of {len(split.members) - split.smallest} and "
        f"{split.smallest} photos, {split.between:.2f} apart on average, {silhouette}"
        f"gap {split.between - same_distance:+.2f} against the same-vehicle distance {same_distance:.2f}"
    )
