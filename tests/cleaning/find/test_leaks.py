"""Duplicates across the split: all of them are found, and the plan leaves none."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable
from siamclip.cleaning.find.leaks import SIDES, SplitRepair, find_leaks
from siamclip.cleaning.find.results import leaks_csv
from siamclip.data.plate_names import plate_of
from tests.cleaning.photo_tables import pairs_of, photos_of

TRAIN, VAL, TEST = range(3)


def leaks(photos: PhotoTable, copies: list[CopyPairs]) -> tuple[Findings, SplitRepair]:
    (found,), repair = find_leaks(photos, copies)
    assert repair is not None
    return found, repair


@st.composite
def split_collections(draw: st.DrawFn) -> tuple[PhotoTable, list[CopyPairs]]:
    number = draw(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(["A/", "A~2/", "B/", "C/", "", ""]), min_size=number, max_size=number))
    each = st.lists(st.integers(0, 2), min_size=number, max_size=number)
    photos = photos_of(
        *(f"{name}{i}.jpg" for i, name in enumerate(names)),
        sides=draw(each),
        errors=["empty" if value == 2 else "" for value in draw(each)],
        archived=[value == 2 for value in draw(each)],
    )
    able = [i for i in range(number) if not photos.errors[i]]
    every = list(combinations(able, 2))
    some = draw(st.lists(st.sampled_from(every), unique=True, max_size=6)) if every else []
    return photos, [
        pairs_of("phash", *((a, b, 1) for a, b in some[:3])),
        pairs_of("exact", *((a, b, 0) for a, b in some[3:])),
    ]


def parts_of(photos: PhotoTable, copies: list[CopyPairs], identities: bool) -> list[set[int]]:
    """What hangs together, by joining set with set; the archive apart."""
    parts = [{row} for row in range(len(photos)) if not photos.is_archived[row]]
    links = [pair for part in copies for pair in zip(part.first.tolist(), part.second.tolist(), strict=True)]
    if identities:
        plates = [plate_of(photos.identities[label]) if label >= 0 else None for label in photos.labels]
        links += [(a, b) for a, b in combinations(range(len(photos)), 2) if plates[a] == plates[b] and plates[a]]
    for a, b in links:
        touched = [part for part in parts if a in part or b in part]
        if len(touched) == 2 and any(a in part for part in parts) and any(b in part for part in parts):
            parts = [part for part in parts if part not in touched] + [touched[0] | touched[1]]
    return parts


@given(split_collections())
def test_every_leak_is_found_and_repaired(collection: tuple[PhotoTable, list[CopyPairs]]) -> None:
    photos, copies = collection
    assert photos.sides is not None
    found, plan = leaks(photos, copies)
    crossing = [part for part in parts_of(photos, copies, False) if len({photos.sides[row] for row in part}) > 1]
    assert found.rows.tolist() == sorted(row for part in crossing for row in part)
    assert found.flagged.all() and found.keep.all()
    for row, other, score in zip(found.rows, found.related, found.score, strict=True):
        (part,) = (part for part in crossing if row in part)
        assert other in part and photos.sides[other] != photos.sides[row]
        assert score == sum(photos.sides[member] != photos.sides[row] for member in part)
    moved = photos.sides.copy()
    moved[plan.rows] = plan.move_to
    assert (moved[plan.rows] != photos.sides[plan.rows]).all()
    whole = parts_of(photos, copies, True)
    for part in whole:
        leaking = any(part & leak for leak in crossing)
        assert len({moved[row] for row in part}) == 1 or not leaking
        assert leaking or not part & set(plan.rows.tolist())  # what does not leak stays where it is
        if leaking:
            votes = Counter(int(photos.sides[row]) for row in part if not photos.errors[row])
            assert votes[int(moved[min(part)])] == max(votes.values())
    assert not photos.is_archived[plan.rows].any()


def test_a_transitive_leak() -> None:
    """Train ~ validation ~ test: no method pairs the first with the last."""
    photos = photos_of("A/1.jpg", "B/1.jpg", "C/1.jpg", "D/1.jpg", sides=[TRAIN, VAL, TEST, TEST])
    found, plan = leaks(photos, [pairs_of("phash", (0, 1, 5), (1, 2, 5))])
    assert found.rows.tolist() == [0, 1, 2]
    assert found.reason == ["a copy is in val: B/1.jpg", "a copy is in train: A/1.jpg", "a copy is in val: B/1.jpg"]
    assert found.score.tolist() == [2, 2, 2]
    assert (plan.rows.tolist(), plan.move_to.tolist()) == ([1, 2], [TRAIN, TRAIN])
    assert found.notes == {
        "groups on two sides": 1,
        "photos of the largest of them": 3,
        "identities on two sides": 0,
        "photos to move": 2,
    }


def test_a_copy_of_a_copy_is_said_to_be_one() -> None:
    photos = photos_of("1.jpg", "2.jpg", "3.jpg", sides=[TRAIN, TRAIN, TEST])
    found, _ = leaks(photos, [pairs_of("phash", (0, 1, 5), (1, 2, 5))])
    assert found.reason == [
        "a copy of a copy is in test: 3.jpg",
        "a copy is in test: 3.jpg",
        "a copy is in train: 2.jpg",
    ]


def test_whole_identities_move_to_the_side_with_most_photos() -> None:
    photos = photos_of(
        "A/1.jpg", "A/2.jpg", "A~2/1.jpg", "B/1.jpg", "B/2.jpg", "B/3.jpg", "B/4.jpg", "C/1.jpg",
        sides=[TRAIN, TRAIN, TRAIN, TEST, TEST, TEST, TEST, TEST],
    )  # fmt: skip
    _, plan = leaks(photos, [pairs_of("exact", (0, 3, 0))])
    assert plan.rows.tolist() == [0, 1, 2]  # with the other vehicle of the plate, though it has no copy
    assert plan.move_to.tolist() == [TEST] * 3
    photos.sides = np.array([TRAIN, TRAIN, TRAIN, TEST, TEST, TEST, TEST, TEST], np.int8)
    photos.errors[6] = "empty"  # now there are as many on both sides: training gets them, broken ones included
    _, plan = leaks(photos, [pairs_of("exact", (0, 3, 0))])
    assert plan.rows.tolist() == [3, 4, 5, 6]
    assert plan.move_to.tolist() == [TRAIN] * 4


def test_an_identity_on_two_sides_is_counted_and_moves_only_with_a_leak() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "B/1.jpg", sides=[TRAIN, TEST, TRAIN])
    found, plan = leaks(photos, [pairs_of("phash", (0, 2, 1))])
    assert (len(found), len(plan.rows), found.notes["identities on two sides"]) == (0, 0, 1)


def test_the_archive_has_no_side_and_no_copies_give_no_leaks() -> None:
    photos = photos_of("A/1.jpg", "B/1.jpg", sides=[TRAIN, TEST], archived=[True, False])
    for copies in ([pairs_of("exact", (0, 1, 0))], [pairs_of("exact")], []):
        found, plan = leaks(photos, copies)
        assert len(found) == len(plan.rows) == 0
    assert find_leaks(photos_of("A/1.jpg"), []) == ([], None)
    assert len(leaks(photos_of(sides=[]), [])[0]) == 0


def rows_of(photos: PhotoTable, plan: SplitRepair) -> list[dict[str, Any]]:
    text = leaks_csv(photos, plan).decode("utf-8-sig", sys.getfilesystemencodeerrors())
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_plan_as_csv_with_any_name() -> None:
    odd = ['A/two\nlines, and "quotes".jpg', "A/\udcff.jpg", "A/\r.jpg", "B/京.jpg"]
    photos = photos_of(*odd, sides=[TEST, TEST, TEST, TRAIN])
    _, plan = leaks(photos, [pairs_of("exact", (0, 3, 0))])
    assert rows_of(photos, plan) == [{"path": odd[3], "group": "0", "side": "train", "move_to": "test"}]
    photos = photos_of(*odd, sides=[TRAIN, TRAIN, VAL, TEST])
    _, plan = leaks(photos, [pairs_of("exact", (2, 3, 0))])
    assert [(row["path"], row["side"], row["move_to"]) for row in rows_of(photos, plan)] == [
        (odd[2], "val", "train"),
        (odd[3], "test", "train"),
    ]
    assert SIDES == ("train", "val", "test")
