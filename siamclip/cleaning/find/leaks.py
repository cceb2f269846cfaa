"""Duplicates that lie on two sides of a split, and a plan that moves whole groups to one.

What a model has seen in training it must not be examined on. Copies are followed transitively here: where the train
photo is a copy of B and B one of a test photo, the two are too near, although no method pairs them.

A split goes by identity. So the plan moves, with each group of copies, all photos of its identities, of identities
with the same plate text, and of whatever is a copy of one of these: then no leak and no identity lies on two sides.
All of it goes to the side that has most of its photos; where two have as many, to train before validation before
test: a held-out side loses photos rather than training gains from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, Notes, PhotoTable, findings
from siamclip.cleaning.duplicates.groups.grouping import components
from siamclip.data.plate_names import plate_of
from siamclip.errors import printable

LEAK = "leak"
SIDES = ("train", "val", "test")  # the numbers of PhotoTable.sides


@dataclass(frozen=True)
class SplitRepair:
    """Photos to move, by row: the part of the collection that moves as one, and the side that it moves to."""

    rows: np.ndarray  # (M,) int64
    group: np.ndarray  # (M,) int64
    side: np.ndarray  # (M,) int8, an index into SIDES
    move_to: np.ndarray  # (M,) int8


def find_leaks(photos: PhotoTable, copies: Sequence[CopyPairs]) -> tuple[list[Findings], SplitRepair | None]:
    """Photos with a copy on another side, flagged, and the plan of repair.

    `copies`: as `decide` gives them, under one label or two. Score: how many photos of the group lie on other sides;
    `related` is one of those, a direct copy where there is one. Photos of an archive are left out: they
    have no side. Nothing, and no plan, where the photos have no sides.
    """
    if photos.sides is None:
        return [], None
    number, sides = len(photos), photos.sides.astype(np.int64)
    present = ~photos.is_archived
    edges = [_edges(part, present) for part in copies]
    group = components(number, *edges)
    on_side = np.zeros((int(group.max(initial=-1)) + 1, len(SIDES)), np.int64)
    np.add.at(on_side, (group[present], sides[present]), 1)
    leaking = (on_side > 0).sum(axis=1) > 1
    rows = np.flatnonzero(leaking[group] & present)
    others = on_side[group[rows]].sum(axis=1) - on_side[group[rows], sides[rows]]
    related, direct = _on_other_sides(rows, group, sides, edges)
    reasons = [
        f"{'a copy' if is_direct else 'a copy of a copy'} is in {SIDES[sides[other]]}: {printable(photos.paths[other])}"
        for other, is_direct in zip(related, direct, strict=True)
    ]
    whole = components(number, *edges, _same_identity(photos, present))
    plan = _repair(photos, sides, present, whole, np.unique(whole[rows]))
    notes: Notes = {
        "groups on two sides": int(leaking.sum()),
        "photos of the largest of them": int(on_side[leaking].sum(axis=1).max(initial=0)),
        "identities on two sides": _identities_on_two_sides(photos, present),
        "photos to move": len(plan.rows),
    }
    numbers = np.unique(group[rows], return_inverse=True)[1]
    found = findings(LEAK, rows, others, reasons, keep=True, group=numbers, related=related, notes=notes)
    return [found], plan


def _edges(part: CopyPairs, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    both = present[part.first] & present[part.second]
    return part.first[both], part.second[both]


def _on_other_sides(
    rows: np.ndarray, group: np.ndarray, sides: np.ndarray, edges: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """Of each of `rows`: the first direct copy on another side, else the first of its group there; whether direct."""
    none = len(group)
    related = np.full(len(group), none, np.int64)
    for first, second in edges:
        crosses = sides[first] != sides[second]
        np.minimum.at(related, first[crosses], second[crosses])
        np.minimum.at(related, second[crosses], first[crosses])
    direct = related[rows] < none
    first_on = np.full((int(group.max(initial=-1)) + 1, len(SIDES)), none, np.int64)
    np.minimum.at(first_on, (group[rows], sides[rows]), rows)
    elsewhere = first_on[group[rows]]
    elsewhere[np.arange(len(rows)), sides[rows]] = none
    return np.where(direct, related[rows], elsewhere.min(axis=1)), direct


def _same_identity(photos: PhotoTable, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges from the first photo of each plate to its others."""
    plates = {name: i for i, name in enumerate(sorted({plate_of(name) for name in photos.identities}))}
    plate = np.array([plates[plate_of(name)] for name in photos.identities], np.int64)
    rows = np.flatnonzero(present & (photos.labels != NO_LABEL))
    _, first, inverse = np.unique(plate[photos.labels[rows]], return_index=True, return_inverse=True)
    return rows[first][inverse], rows


def _identities_on_two_sides(photos: PhotoTable, present: np.ndarray) -> int:
    assert photos.sides is not None
    rows = np.flatnonzero(present & (photos.labels != NO_LABEL))
    pairs = np.unique(photos.labels[rows] * len(SIDES) + photos.sides[rows])
    return int((np.bincount(pairs // len(SIDES)) > 1).sum())


def _repair(
    photos: PhotoTable, sides: np.ndarray, present: np.ndarray, whole: np.ndarray, leaking: np.ndarray
) -> SplitRepair:
    """`whole`: (N,) what moves as one; `leaking`: those of them that have a leak."""
    votes = np.zeros((int(whole.max(initial=-1)) + 1, len(SIDES)), np.int64)
    voters = present & photos.readable
    np.add.at(votes, (whole[voters], sides[voters]), 1)
    target = votes.argmax(axis=1)  # the first of equal ones: train, then validation
    rows = np.flatnonzero(present & np.isin(whole, leaking) & (sides != target[whole]))
    rows = rows[np.argsort(whole[rows], kind="stable")]
    group = np.searchsorted(leaking, whole[rows])
    return SplitRepair(rows, group, sides[rows].astype(np.int8), target[whole[rows]].astype(np.int8))
