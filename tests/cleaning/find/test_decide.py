"""The decision over all methods: its laws for any findings and pairs, and each rule by an example."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, PhotoTable, findings, proposed_removals
from siamclip.cleaning.duplicates.geometry.geometric_verification import Verdicts
from siamclip.cleaning.duplicates.groups.grouping import components
from siamclip.cleaning.duplicates.groups.keepers import rank
from siamclip.cleaning.duplicates.groups.not_duplicates import by_content
from siamclip.cleaning.find.decide import RemovalDecision, decide_removals
from siamclip.errors import UserError
from tests.cleaning.photo_tables import pairs_of, permuted, permuted_pairs, photos_of

DUPLICATES = ("exact", "phash", "semantic")
SAME = 0.14


def decided(photos: PhotoTable, findings: list[Findings], *pairs: CopyPairs, **settings: Any) -> RemovalDecision:
    """As find does it, after `findings` were made."""
    goes = proposed_removals(findings, len(photos)) & ~photos.is_archived
    order = rank(photos, settings.get("protected", ()), unwanted=goes)
    return decide_removals(photos, findings, pairs, order, **{"same_identity": SAME, "min_per_class": 0} | settings)


def flagged(*rows: int, method: str = "laplacian") -> Findings:
    return findings(method, rows, [1.0] * len(rows), ["blurred"] * len(rows))


def verdicts_of(confirmed: list[bool | None]) -> Verdicts:
    """True: confirmed, False: rejected, None: not checked."""
    inliers = np.array([-1 if c is None else 40 for c in confirmed], np.int32)
    return Verdicts(inliers, np.where(inliers < 0, np.nan, 0.9), np.array([c is True for c in confirmed], bool))


def reasons_of(decision: RemovalDecision, row: int) -> dict[str, str]:
    return {
        part.method: reason
        for part in decision.findings
        for at, reason in zip(part.rows, part.reason, strict=True)
        if at == row
    }


def of(decision: RemovalDecision, method: str) -> Findings:
    (part,) = (part for part in decision.findings if part.method == method)
    return part


# -- the laws -------------------------------------------------------------------------------------------------------


@st.composite
def situations(draw: st.DrawFn) -> tuple[PhotoTable, list[Findings], list[CopyPairs], dict[str, Any]]:
    number = draw(st.integers(1, 12))
    folders = draw(st.lists(st.sampled_from(["A/", "B/", "C/", ""]), min_size=number, max_size=number))
    each = st.lists(st.booleans(), min_size=number, max_size=number)
    archived = draw(each) if draw(st.booleans()) else [False] * number
    broken = draw(each) if draw(st.booleans()) else [False] * number
    photos = photos_of(
        *(f"{folder}{i}.jpg" for i, folder in enumerate(folders)),
        archived=archived,
        errors=["the file is empty" if bad else "" for bad in broken],
        bytes=draw(st.lists(st.integers(0, 3), min_size=number, max_size=number)),
    )
    every = [(a, b) for a, b in combinations(range(number), 2)]
    pairs = []
    for method in draw(st.lists(st.sampled_from(DUPLICATES), unique=True)):
        some = draw(st.lists(st.sampled_from(every), unique=True, max_size=12)) if every else []
        distances = [draw(st.sampled_from([0.0, 0.1, 0.3, 3.0])) for _ in some]
        pairs.append(pairs_of(method, *((a, b, d) for (a, b), d in zip(some, distances, strict=True))))
    quality = [flagged(*np.flatnonzero(draw(each)).tolist(), method=m) for m in ("laplacian", "knn")]
    folders_with_photos = sorted({f for f, old in zip(folders, archived, strict=True) if f and not old})
    settings = {
        "min_per_class": draw(st.integers(0, 3)),
        "protected": draw(st.lists(st.sampled_from(folders_with_photos), max_size=1)) if folders_with_photos else [],
        "verdicts": {
            part.method: verdicts_of([draw(st.sampled_from([True, False, None])) for _ in range(len(part))])
            for part in pairs
            if part.method == "semantic"
        },
        "not_duplicates": by_content(photos, draw(st.lists(st.sampled_from(every), max_size=2)) if every else []),
    }
    return photos, quality, pairs, settings


@settings(max_examples=60)
@given(situations())
def test_what_goes_has_a_reason_and_a_copy_that_stays(situation: Any) -> None:
    photos, quality, pairs, given_settings = situation
    decision = decided(photos, quality, *pairs, **given_settings)
    proposed, by_others = np.zeros(len(photos), bool), np.zeros(len(photos), bool)
    for part in decision.findings:
        proposed[part.rows[~part.keep]] = True
        if part.method not in DUPLICATES:
            by_others[part.rows[~part.keep]] = True
        else:
            assert part.flagged.tolist() == (part.related >= 0).tolist()  # members; keepers have none beside them
            assert (part.related[part.flagged] == decision.keeper[part.rows[part.flagged]]).all()
        assert len(part.rows) == len(np.unique(part.rows))
    assert (decision.remove == proposed).all()
    together = {(int(a), int(b)) for part in pairs for a, b in zip(part.first, part.second, strict=True)}
    for row in np.flatnonzero(decision.remove & ~by_others):
        keeper = int(decision.keeper[row])
        assert not decision.remove[keeper]
        assert (min(row, keeper), max(row, keeper)) in together
        assert photos.labels[row] in (photos.labels[keeper], NO_LABEL)
        assert photos.readable[[row, keeper]].all()
    assert not (decision.remove & photos.is_archived).any()
    for folder in given_settings["protected"]:
        assert not [p for p, goes in zip(photos.paths, decision.remove, strict=True) if goes and p.startswith(folder)]


@settings(max_examples=60)
@given(situations())
def test_no_identity_falls_below_the_least(situation: Any) -> None:
    photos, quality, pairs, given_settings = situation
    decision = decided(photos, quality, *pairs, **given_settings)
    copies = [part for part in decision.copies[: len(pairs)] if part.method == "exact"]  # those of one label
    photo = components(len(photos), *((part.first, part.second) for part in copies))  # as the rule counts them
    for label in range(len(photos.identities)):
        rows = np.flatnonzero((photos.labels == label) & photos.readable)
        left = set(photo[rows[~decision.remove[rows]]].tolist())
        assert len(left) >= min(given_settings["min_per_class"], len(set(photo[rows].tolist())))


@settings(max_examples=60)
@given(situations(), st.randoms(use_true_random=False))
def test_the_order_of_the_files_changes_nothing(situation: Any, random: Any) -> None:
    photos, quality, pairs, given_settings = situation
    to = list(range(len(photos)))
    random.shuffle(to)
    place = np.argsort(to)
    moved_pairs, moved_verdicts = [], {}
    for part in pairs:
        moved = permuted_pairs(part, np.array(to))
        moved_pairs.append(moved)
        if part.method in given_settings["verdicts"]:
            where = {(int(a), int(b)): i for i, (a, b) in enumerate(zip(part.first, part.second, strict=True))}
            back = [where[tuple(sorted((to[a], to[b])))] for a, b in zip(moved.first, moved.second, strict=True)]
            old = given_settings["verdicts"][part.method]
            moved_verdicts[part.method] = Verdicts(old.inliers[back], old.agreement[back], old.confirmed[back])
    moved_quality = [flagged(*place[part.rows].tolist(), method=part.method) for part in quality]
    one = decided(photos, quality, *pairs, **given_settings)
    moved_photos = permuted(photos, np.array(to))
    other = decided(moved_photos, moved_quality, *moved_pairs, **given_settings | {"verdicts": moved_verdicts})
    assert other.remove.tolist() == one.remove[to].tolist()

    def described(decision: RemovalDecision, table: PhotoTable) -> set[tuple[Any, ...]]:
        return {
            (part.method, table.paths[row], group, keep, reason)
            for part in decision.findings
            for row, group, keep, reason in zip(part.rows, part.group, part.keep, part.reason, strict=True)
        }

    assert described(other, moved_photos) == described(one, photos)


# -- duplicates -----------------------------------------------------------------------------------------------------


def test_every_method_that_saw_the_pair_gives_its_evidence() -> None:
    photos = photos_of("A/best.jpg", "A/b\n.jpg", "A/c.jpg", bytes=[9, 2, 1])
    phash, dhash16 = pairs_of("phash", (0, 1, 3), (0, 2, 4), inliers=[-1, 57]), pairs_of("dhash16", (0, 1, 8))
    semantic = pairs_of("semantic", (0, 1, 0.1), (1, 2, 0.01))
    decision = decided(photos, [], pairs_of("exact"), phash, dhash16, semantic)
    assert decision.remove.tolist() == [False, True, True]
    assert reasons_of(decision, 1) == {
        "phash": "copy of A/best.jpg: Hamming distance 3 of 64 (phash)",
        "dhash16": "copy of A/best.jpg: Hamming distance 8 of 256 (dhash16)",
        "semantic": "copy of A/best.jpg: embedding distance 0.100 (semantic)",
    }
    assert reasons_of(decision, 2) == {
        "phash": "copy of A/best.jpg: Hamming distance 4 of 64 (phash), 57 matching points"
    }
    part = of(decision, "phash")
    assert part.rows.tolist() == [0, 1, 2]
    assert part.score.tolist() == [0, 3, 4]
    assert part.flagged.tolist() == [False, True, True]
    assert part.keep.tolist() == [True, False, False]
    assert part.related.tolist() == [-1, 0, 0]
    assert part.group.tolist() == [0, 0, 0]
    assert part.reason[0] == "the best of 3 copies"
    assert len(of(decision, "exact")) == 0
    assert (
        of(decided(photos, [], pairs_of("pixels", (0, 1, 0))), "pixels")
        .reason[1]
        .startswith("copy of A/best.jpg: the same pixels (pixels)")
    )


def test_a_blurred_photo_is_no_reason_to_drop_its_sharp_copy() -> None:
    photos = photos_of("A/large but blurred.jpg", "A/sharp.jpg", bytes=[9, 1])
    decision = decided(photos, [flagged(0)], pairs_of("phash", (0, 1, 2)))
    assert decision.remove.tolist() == [True, False]
    both = decided(photos, [flagged(0, 1)], pairs_of("phash", (0, 1, 2)))
    assert both.remove.all()  # neither is wanted
    assert both.spared.tolist() == [False, False]
    spared = decided(photos, [flagged(0, 1)], pairs_of("phash", (0, 1, 2)), min_per_class=1)
    assert spared.remove.tolist() == [False, True]


def test_two_photos_that_cannot_be_read_are_no_duplicates() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", errors=["empty", "empty", ""], content=["", "", "a" * 32])
    decision = decided(photos, [], pairs_of("exact", (0, 1, 0), (1, 2, 0)))
    assert not decision.remove.any() and (decision.keeper == -1).all() and len(decision.copies[0]) == 0


def test_only_near_identical_views_of_one_identity_go() -> None:
    semantic = pairs_of("semantic", (0, 1, SAME + 0.01), (1, 2, SAME - 0.01))
    names = ("1.jpg", "2.jpg", "3.jpg")
    labelled = decided(photos_of(*(f"A/{name}" for name in names)), [], semantic)
    assert labelled.remove.tolist() == [False, True, False]  # rows have more bytes the later they come
    assert labelled.notes["semantic pairs inside one identity left alone (other views)"] == 1
    flat = decided(photos_of(*names), [], pairs_of("semantic", (0, 1, SAME + 0.01)))
    assert flat.remove.tolist() == [True, False, False]
    mixed = decided(photos_of("A/1.jpg", "2.jpg"), [], pairs_of("semantic", (0, 1, SAME + 0.01)))
    assert not mixed.remove.any()


def test_what_the_geometry_rejects_is_no_copy() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", "A/4.jpg")
    phash = pairs_of("phash", (0, 3, 5), (1, 3, 5), (2, 3, 5))
    decision = decided(photos, [], phash, verdicts={"phash": verdicts_of([True, False, None])})
    assert decision.remove.tolist() == [True, False, True, False]
    assert decision.notes["pairs rejected by the geometry"] == 1


def test_not_duplicates_are_left_alone_under_any_name() -> None:
    photos = photos_of(
        "A/1.jpg", "A/2.jpg", "B/3.jpg", "A/renamed 1.jpg", content=["1" * 32, "2" * 32, "3" * 32, "1" * 32]
    )
    refused = by_content(photos, [(1, 0), (0, 2)])
    pairs = pairs_of("phash", (0, 1, 1), (0, 2, 1), (1, 3, 1), (0, 3, 0))
    decision = decided(photos, [], pairs, not_duplicates=refused)
    assert decision.remove.tolist() == [True, False, False, False]  # its byte-identical copy is still one
    assert len(of(decision, "label_conflict")) == 0
    assert decision.notes["pairs left out as remembered not duplicates"] == 3


# -- labels ---------------------------------------------------------------------------------------------------------


def test_the_same_photo_under_two_labels_is_shown_and_stays() -> None:
    photos = photos_of("京A/1.jpg", "京A/2.jpg", "京B/1.jpg", "京C/9.jpg", "京D/1.jpg")
    exact, phash = pairs_of("exact", (0, 2, 0)), pairs_of("phash", (0, 2, 0), (2, 3, 5), (0, 1, 2))
    decision = decided(photos, [], exact, phash)
    conflict = of(decision, "label_conflict")
    assert conflict.rows.tolist() == [0, 2, 3]
    assert conflict.keep.all() and conflict.flagged.all()
    assert conflict.related.tolist() == [2, 0, 2]
    assert conflict.reason == [
        "the same photo is in 京B: 京B/1.jpg, the same bytes (exact)",
        "the same photo is in 京A: 京A/1.jpg, the same bytes (exact) (and 1 more)",
        "the same photo is in 京B: 京B/1.jpg, Hamming distance 5 of 64 (phash)",
    ]
    assert conflict.group.tolist() == [1, 1, 1]  # after group 0, that of 京A/1 and 京A/2
    assert decision.remove.tolist() == [True, False, False, False, False]
    assert decision.notes["photos under two labels"] == 3


def test_vehicles_of_one_model_are_no_copies_unless_the_geometry_says_so() -> None:
    photos = photos_of("A/1.jpg", "B/1.jpg", "C/1.jpg")
    semantic = pairs_of("semantic", (0, 1, 0.01), (0, 2, 0.01))
    assert len(of(decided(photos, [], semantic), "label_conflict")) == 0
    checked = decided(photos, [], semantic, verdicts={"semantic": verdicts_of([True, None])})
    assert of(checked, "label_conflict").rows.tolist() == [0, 1]
    assert not checked.remove.any()
    assert checked.notes["semantic pairs across identities not confirmed by the geometry"] == 1


def test_a_copy_without_a_label_goes_in_favour_of_the_labelled_one() -> None:
    photos = photos_of("A/small.jpg", "loose and large.jpg", bytes=[1, 9])
    assert decided(photos, [], pairs_of("phash", (0, 1, 2))).remove.tolist() == [False, True]
    archived = photos_of("A/new.jpg", "old.jpg", archived=[False, True])
    decision = decided(archived, [], pairs_of("phash", (0, 1, 2)))
    assert not decision.remove.any()  # the label is worth more than the space
    assert len(decision.copies[0]) == 1  # but a split and the leaks know of it


def test_files_of_one_name_in_two_folders_are_two_photos() -> None:
    photos = photos_of("A/1.jpg", "B/1.jpg", "A/sub/1.jpg")
    decision = decided(photos, [], pairs_of("exact", (0, 1, 0), (0, 2, 0), (1, 2, 0)))
    assert decision.remove.tolist() == [True, False, False]  # the one with fewer bytes
    assert decision.counts.rows() == [("A", 2, 1), ("B", 1, 1)]


# -- the archive and protected folders ------------------------------------------------------------------------------


def test_a_new_photo_that_copies_an_archived_one_goes() -> None:
    photos = photos_of("A/old.jpg", "A/new.jpg", "B/new.jpg", archived=[True, False, False])
    phash = pairs_of("phash", (0, 1, 3), (0, 2, 3))
    decision = decided(photos, [flagged(0, 2)], phash)
    assert decision.remove.tolist() == [False, True, True]
    assert of(decision, "laplacian").rows.tolist() == [2]  # the archive is not listed
    assert of(decision, "label_conflict").rows.tolist() == [0, 2]
    assert decision.notes["findings about photos of the archive left out"] == 1


def test_nothing_is_removed_from_a_protected_folder() -> None:
    photos = photos_of("A/safe/small.jpg", "A/safe/twin.jpg", "A/large.jpg", bytes=[1, 2, 9])
    decision = decided(photos, [flagged(0)], pairs_of("phash", (0, 2, 2), (0, 1, 2), (1, 2, 2)), protected=["A/safe"])
    assert decision.remove.tolist() == [False, False, True]
    assert reasons_of(decision, 0)["laplacian"] == "blurred; kept: its folder is protected"
    assert of(decision, "phash").rows[0] == 1  # the better of the two
    assert decision.notes["kept because their folder is protected"] == 1


# -- min_per_class --------------------------------------------------------------------------------------------------


def test_the_best_of_those_that_would_go_stay() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", "B/1.jpg", "C/1.jpg", bytes=[3, 2, 1, 0, 0])
    decision = decided(photos, [flagged(0, 1, 2, 3)], min_per_class=2)
    assert decision.remove.tolist() == [False, False, True, False, False]
    assert reasons_of(decision, 1)["laplacian"] == "blurred; kept: A would have fewer than 2 photos"
    assert decision.spared.tolist() == [True, True, False, True, False]
    assert of(decision, "laplacian").flagged.all()
    assert decision.counts.rows() == [("A", 3, 2), ("B", 1, 1), ("C", 1, 1)]
    assert decision.notes["kept because of min_per_class"] == 3


def test_a_photo_without_a_copy_is_spared_before_a_copy() -> None:
    photos = photos_of("A/best.jpg", "A/copy.jpg", "A/blurred.jpg", bytes=[9, 8, 1])
    decision = decided(photos, [flagged(2)], pairs_of("phash", (0, 1, 2)), min_per_class=2)
    assert decision.remove.tolist() == [False, True, False]
    decision = decided(photos, [flagged(2)], pairs_of("phash", (0, 1, 2)), min_per_class=3)
    assert not decision.remove.any()
    assert reasons_of(decision, 1)["phash"].endswith("; kept: A would have fewer than 3 photos")


def test_identical_copies_are_not_spared() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", "A/4.jpg", bytes=[9, 8, 7, 6])
    exact, pixels = pairs_of("exact", (0, 1, 0)), pairs_of("pixels", (0, 1, 0), (0, 2, 0), (1, 2, 0))
    assert decided(photos, [], exact, pixels, min_per_class=4).remove.tolist() == [False, True, True, False]
    # two identical members of a third photo's group: one of them is enough
    phash = pairs_of("phash", (0, 1, 3), (0, 2, 3), (1, 2, 0))
    twins = decided(
        photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", bytes=[9, 8, 7]), [], pairs_of("exact", (1, 2, 0)), phash
    )
    assert twins.remove.tolist() == [False, True, True]
    twins = decided(
        photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", bytes=[9, 8, 7]),
        [],
        pairs_of("exact", (1, 2, 0)),
        phash,
        min_per_class=3,
    )
    assert twins.remove.tolist() == [False, False, True]


def test_unreadable_files_are_no_photos_of_an_identity() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", errors=["", "empty", ""])
    decision = decided(photos, [flagged(1, method="unreadable"), flagged(0)], min_per_class=2)
    assert decision.remove.tolist() == [False, True, False]
    assert decision.counts.rows() == [("A", 2, 2)]


def test_a_flat_collection_has_no_least_number() -> None:
    decision = decided(photos_of("1.jpg", "2.jpg"), [flagged(0, 1)], min_per_class=2)
    assert decision.remove.all()
    assert decision.counts.rows() == [("(no folder)", 2, 0)]


# -- what does not fit ----------------------------------------------------------------------------------------------


def test_an_empty_collection_and_no_methods() -> None:
    assert decided(photos_of(), [], pairs_of("exact")).remove.tolist() == []
    decision = decided(photos_of("A/1.jpg"), [])
    assert [part.method for part in decision.findings] == ["label_conflict"] and not decision.remove.any()


def test_what_was_given_is_not_changed() -> None:
    photos, quality = photos_of("A/1.jpg", "A/2.jpg"), flagged(0, 1)
    decided(photos, [quality], min_per_class=2)
    assert not quality.keep.any() and quality.reason == ["blurred", "blurred"]


def test_settings_out_of_range() -> None:
    with pytest.raises(UserError, match=r"^min_per_class -1: must be"):
        decided(photos_of("A/1.jpg"), [], min_per_class=-1)
    for distance in (-0.1, 2.1):
        with pytest.raises(ValueError, match=r"^same_identity .*: must be"):
            decided(photos_of("A/1.jpg"), [], same_identity=distance)
