"""Suspected label errors: photos far from their own folder and near another.

A photo stands in its folder by two distances: to the medoid of the folder's other photos, and to the nearest of them,
which is what a folder with views from all sides has for it. Another folder is judged by the same two. Their mean
ranked moved photos better than either alone in nine of ten settings (two encoders, five collections).

A folder with one photo says nothing about it, and it is not judged. In a folder with two, both are equally far from
each other: the one that is near another folder is suspected. A wrong photo whose copy is wrong in the same way has a
near neighbour in its folder and is missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.consistency.class_folders import Folders, folders_of
from siamclip.cleaning.consistency.neighbours import nearest, not_judged, require, robust_centre
from siamclip.cleaning.contracts import Findings, PhotoTable, findings
from siamclip.errors import printable

_CANDIDATES = 16  # nearest photos, and nearest medoids, whose folders may be the better label
_REFERENCES = 2000  # photos that a larger folder is represented by


def label_errors(
    photos: PhotoTable, *, deviations: float = 2.5, margin: float | None = None, seed: int = 0
) -> Findings:
    """Photos that are nearer to another folder than to their own by more than `margin`.

    Score: mean of the distances to the own folder's medoid and nearest photo, less the same for the other folders; in
    (0, 2). The photo itself counts as no part of its folder. margin: chosen from the data when not given, the median
    score and `deviations` robust standard deviations above it, and at least 0. `related`: the nearest photo of the
    better label. Archived photos and folders stand for their labels and are not judged. Raises UserError for a setting
    out of range.
    """
    require(math.isfinite(deviations) and deviations > 0, "label_errors", "deviations", deviations, "above 0")
    require(margin is None or 0 <= margin <= 2, "label_errors", "margin", margin, "from 0 to 2")
    folders = folders_of(photos)
    if len(folders.sizes) < 2:
        return not_judged("label_errors", f"{len(folders.sizes)} folders with photos, at least 2 are needed")
    own = _own(folders, seed)
    judged = np.isfinite(own.medoid)
    if not judged.any():
        return not_judged("label_errors", "no folder has two photos")
    by_photo = nearest(folders.vectors, _CANDIDATES, np.arange(len(folders.rows)), seed)
    medoids = nearest(folders.vectors[own.medoids], min(_CANDIDATES, len(own.medoids)), folders.vectors, own=False)
    owner = np.append(folders.labels, -1)  # of position -1, nobody
    near_photo = _first_other(by_photo.distance, owner[by_photo.index], folders.labels)
    near_medoid = _first_other(medoids.distance, folders.labels[own.medoids][medoids.index], folders.labels)
    score = np.full(len(folders.rows), -np.inf)
    score[judged] = ((own.medoid + own.nearest - near_medoid - near_photo) / 2)[judged]

    usual, spread = robust_centre(score[judged])
    limit = max(0.0, usual + deviations * spread) if margin is None else margin
    suspects = np.flatnonzero((score > limit) & ~photos.is_archived[folders.rows])
    suspects = suspects[np.argsort(-score[suspects], kind="stable")]
    better = [
        _better(folders, own.medoids, position, by_photo.index[position], medoids.index[position])
        for position in suspects.tolist()
    ]
    return findings(
        "label_errors",
        folders.rows[suspects],
        score[suspects],
        [
            f"{own.medoid[position]:.2f} from the medoid of its own folder, {found.medoid:.2f} from that of "
            f"{printable(photos.identities[found.label])} (nearest photo {found.nearest:.2f}, in its own folder "
            f"{own.nearest[position]:.2f})"
            for position, found in zip(suspects.tolist(), better, strict=True)
        ],
        keep=True,
        related=np.array([folders.rows[found.position] for found in better], np.int64),
        notes={
            "judged": int((judged & ~photos.is_archived[folders.rows]).sum()),
            "alone in their folder, not judged": int((~judged & ~photos.is_archived[folders.rows]).sum()),
            "margin": limit,
            "usual score": usual,
        }
        | by_photo.notes,
    )


@dataclass(frozen=True)
class _Own:
    """medoid, nearest: (M,) float64 distances within the own folder, NaN for a photo alone; medoids: (F,) positions."""

    medoid: np.ndarray
    nearest: np.ndarray
    medoids: np.ndarray


def _own(folders: Folders, seed: int) -> _Own:
    from scipy.spatial.distance import cdist

    to_medoid, to_nearest = np.full(len(folders.rows), np.nan), np.full(len(folders.rows), np.nan)
    medoids = np.empty(len(folders.sizes), np.int64)
    rng = np.random.default_rng(seed)
    for number, members in enumerate(folders.members()):
        few = members
        if len(members) > _REFERENCES:
            few = np.sort(rng.choice(members, _REFERENCES, replace=False))
        among = cdist(folders.vectors[few], folders.vectors[few])
        total = among.sum(axis=1)
        medoids[number] = few[total.argmin()]
        if len(members) == 1:
            continue
        # What each reference's total is without the photo that is judged, which is no candidate itself.
        for i in range(0, len(members), _REFERENCES):
            part = members[i : i + _REFERENCES]
            distance = among if len(few) == len(members) else cdist(folders.vectors[part], folders.vectors[few])
            itself = part[:, None] == few[None]
            without = np.where(itself, np.inf, total - np.where(np.isin(part, few)[:, None], distance, 0.0))
            to_medoid[part] = distance[np.arange(len(part)), without.argmin(axis=1)]
            to_nearest[part] = np.where(itself, np.inf, distance).min(axis=1)
    return _Own(to_medoid, to_nearest, medoids)


def _first_other(distance: np.ndarray, labels: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(M,) smallest distance to one of another label; the last distance where all are of the own one.

    That is then a lower bound, of a photo which has 16 neighbours in its own folder.
    """
    other = (labels != own[:, None]) & (labels >= 0)
    first = np.where(other.any(axis=1), other.argmax(axis=1), (labels >= 0).sum(axis=1) - 1)
    result: np.ndarray = distance[np.arange(len(distance)), first]
    return result


@dataclass(frozen=True)
class _Better:
    """A folder that fits better: its label, the distances to its medoid and its nearest photo, and that photo."""

    label: int
    medoid: float
    nearest: float
    position: int


def _better(folders: Folders, medoids: np.ndarray, position: int, photos: np.ndarray, near: np.ndarray) -> _Better:
    """The best of the folders of the nearest photos and medoids."""
    labels = {int(folders.labels[i]) for i in photos[photos >= 0]} | {int(folders.labels[medoids[i]]) for i in near}
    own = folders.vectors[position].astype(np.float64)
    found = []
    for label in sorted(labels - {int(folders.labels[position])}):
        number = int(np.searchsorted(folders.labels[folders.starts], label))
        start, size = int(folders.starts[number]), int(folders.sizes[number])
        distance = np.linalg.norm(folders.vectors[start : start + size] - own, axis=1)
        closest = int(distance.argmin())
        to_medoid = float(distance[medoids[number] - start])
        found.append(_Better(label, to_medoid, float(distance[closest]), start + closest))
    return min(found, key=lambda one: (one.medoid + one.nearest, one.label))
