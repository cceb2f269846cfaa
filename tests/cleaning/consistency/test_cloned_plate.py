"""The cloned-plate audit: its arithmetic, what it flags, and that views of one vehicle are not two vehicles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

from siamclip.cleaning.consistency import cloned_plate as module
from siamclip.cleaning.consistency.class_folders import folders_of
from siamclip.cleaning.consistency.cloned_plate import cloned_plate, separating_distance, split_score
from siamclip.errors import UserError
from siamclip.metrics.verification import confusion
from tests.cleaning.consistency.embedded import around, embedded, permuted, unit


def fleet(
    vehicles: int = 12, photos: int = 8, spread: float = 0.4, seed: int = 0
) -> tuple[np.ndarray, list[str], list[np.ndarray]]:
    """One folder a vehicle, and further vehicles of no folder."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(vehicles + 4, 32)))
    vectors = np.vstack([around(centre, photos, spread, rng) for centre in centres[:vehicles]])
    names = [f"plate{i:02}" for i in range(vehicles) for _ in range(photos)]
    return vectors, names, [around(centre, photos, spread, rng) for centre in centres[vehicles:]]


def test_a_cloned_plate_is_found_and_its_two_groups_are_numbered() -> None:
    vectors, names, others = fleet()
    vectors[16:19] = others[0][:3]  # plate02: five photos of its vehicle, three of another
    photos = embedded(vectors, names)
    found = cloned_plate(photos)
    assert sorted(found.rows) == list(range(16, 24)), "one finding a photo of the folder"
    assert {int(row): int(group) for row, group in zip(found.rows, found.group, strict=True)} == {
        row: 2 * 2 + (row < 19) for row in range(16, 24)
    }
    assert len(set(found.score.tolist())) == 1
    assert found.keep.all()
    group = dict(zip(found.rows.tolist(), found.group.tolist(), strict=True))
    for row, near in zip(found.rows.tolist(), found.related.tolist(), strict=True):
        assert group[near] != group[row], "related is the nearest photo on the other side"
    distance = cdist(vectors[16:24].astype(np.float64), vectors[16:24].astype(np.float64))
    between = distance[:3, 3:].mean()
    silhouette = silhouette_score(vectors[16:24], np.arange(8) < 3)
    assert found.score[0] == pytest.approx((4 * 3 / 8 * 5 / 8) ** 0.25 * between)
    same = float(found.notes["same_distance"])
    assert found.reason[0] == (
        f"plate02: groups of 5 and 3 photos, {between:.2f} apart on average, silhouette {silhouette:.2f}, "
        f"gap {between - same:+.2f} against the same-vehicle distance {same:.2f}"
    )
    assert found.notes["folders suspected"] == 1
    assert "equal error rate" in str(found.notes["same_distance chosen by"])


def test_suspects_are_ranked() -> None:
    vectors, names, others = fleet()
    vectors[0:2], vectors[40:44] = others[0][:2], others[1][:4]
    found = cloned_plate(embedded(vectors, names), same_distance=0.8)
    assert {names[row] for row in found.rows[:8]} == {"plate05"}, "evenly divided"
    assert {names[row] for row in found.rows[8:]} == {"plate00"}
    assert (np.diff(found.score) <= 0).all()


def test_two_tight_views_of_one_vehicle_rank_below_two_vehicles_seen_from_all_sides() -> None:
    """The silhouette ranks them the other way round."""
    rng = np.random.default_rng(1)
    axes = np.eye(32)
    view = 0.45 * axes[10]
    one = np.vstack([around(axes[0] + view, 4, 0.1, rng), around(axes[0] - view, 4, 0.1, rng)])
    two = np.vstack([around(axes[k] + side * view, 2, 0.1, rng) for k in (1, 2) for side in (-1, 1)])
    found = cloned_plate(embedded(np.vstack([one, two]), ["one"] * 8 + ["two"] * 8), same_distance=0.3)
    score = {int(row): float(value) for row, value in zip(found.rows, found.score, strict=True)}
    assert score[8] > score[0] + 0.3
    halves = np.arange(8) < 4
    assert silhouette_score(one, halves) > silhouette_score(two, halves)


def test_one_odd_photo_is_a_label_error_and_not_a_second_vehicle() -> None:
    vectors, names, others = fleet()
    vectors[16] = others[0][0]
    assert len(cloned_plate(embedded(vectors, names), same_distance=0.8)) == 0
    assert len(cloned_plate(embedded(vectors, names), same_distance=0.8, min_group=1)) == 8


@pytest.mark.parametrize("number", [4, 9, 30])
def test_the_split_is_wards(number: int) -> None:
    vectors = unit(np.random.default_rng(number).normal(size=(number, 8)))
    photos = embedded(vectors, ["plate"] * number)
    found = cloned_plate(photos, same_distance=1e-6, min_group=1)
    reference = AgglomerativeClustering(2, linkage="ward").fit_predict(vectors.astype(np.float64))
    side = np.empty(number, np.int64)
    side[found.rows] = found.group
    assert np.array_equal(side == side[0], reference == reference[0])
    assert (side == 0).sum() >= (side == 1).sum()


def test_the_score_falls_where_groups_are_uneven() -> None:
    distance = np.full((8, 8), 1.2)
    scores = [split_score(distance, np.arange(8) < k)[0] for k in (1, 2, 3, 4)]
    assert scores == sorted(scores)
    assert scores[-1] == pytest.approx(1.2)
    assert scores[0] == pytest.approx((4 * 7 / 64) ** 0.25 * 1.2)


def test_the_same_vehicle_distance_has_equal_error_rates() -> None:
    vectors, names, _ = fleet(spread=1.5)
    folders = folders_of(embedded(vectors, names))
    chosen = separating_distance(folders, 0)
    assert chosen is not None
    first, second = np.triu_indices(len(vectors), 1)
    distance = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    cells = confusion(distance, np.array(names)[first] == np.array(names)[second], chosen)
    assert cells.far == pytest.approx(cells.frr, abs=0.01)


def test_sampled_pairs_give_nearly_the_same_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, names, _ = fleet(vehicles=30, spread=1.5)
    folders = folders_of(embedded(vectors, names))
    exact = separating_distance(folders, 0)
    monkeypatch.setattr(module, "_PAIRS", 700)
    within = module._pairs_within(folders, 0)
    assert len(within) == 700
    assert (within[:, 0] != within[:, 1]).all()
    assert (folders.labels[within[:, 0]] == folders.labels[within[:, 1]]).all()
    assert separating_distance(folders, 0) == pytest.approx(exact, abs=0.05)


def test_large_folders_are_split_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, names, others = fleet(photos=40)
    vectors[40:55] = others[0][:15]
    monkeypatch.setattr(module, "_REFERENCES", 16)
    found = cloned_plate(embedded(vectors, names))
    assert sorted(found.rows) == list(range(40, 80))
    assert sorted(found.rows[found.group == 3]) == list(range(40, 55))


def test_small_folders_equal_photos_and_one_folder() -> None:
    assert "no folder has 4 photos" in str(cloned_plate(embedded(np.empty((0, 4)), [])).notes["not judged"])
    vectors, names, _ = fleet(photos=3)
    found = cloned_plate(embedded(vectors, names))
    assert len(found) == 0
    assert found.notes["too few photos, not judged"] == 12
    equal = embedded(unit(np.ones((12, 8))), ["a"] * 6 + ["b"] * 6)
    assert len(cloned_plate(equal)) == 0
    alone = embedded(vectors[:9], ["a"] * 9)
    assert "same_distance" in str(cloned_plate(alone).notes["not judged"])
    assert len(cloned_plate(alone, same_distance=0.8)) == 9
    assert len(cloned_plate(embedded(vectors))) == 0, "a flat collection has no folders"


def test_archived_photos_count_in_the_split_and_are_no_findings() -> None:
    vectors, names, others = fleet()
    vectors[16:19] = others[0][:3]
    archived = np.zeros(len(names), bool)
    archived[19:24] = True
    found = cloned_plate(embedded(vectors, names, archived=archived))
    assert sorted(found.rows) == [16, 17, 18]
    assert np.isin(found.related, np.arange(19, 24)).all()


def test_unreadable_photos_take_no_part() -> None:
    vectors, names, others = fleet()
    vectors[16:19] = others[0][:3]
    vectors[19] = np.nan
    assert sorted(cloned_plate(embedded(vectors, names)).rows) == [16, 17, 18, 20, 21, 22, 23]


def test_a_folder_name_cannot_break_the_line() -> None:
    vectors, names, others = fleet()
    vectors[16:19] = others[0][:3]
    names = [name.replace("plate02", "pla\nte") for name in names]
    assert all("\n" not in reason for reason in cloned_plate(embedded(vectors, names)).reason)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_files_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, names, _ = fleet(6, int(rng.integers(4, 9)), 1.5, seed)
    photos = embedded(vectors, names)
    to = rng.permutation(len(photos))
    plain, other = cloned_plate(photos), cloned_plate(permuted(photos, to))
    expected = {row: (group, score) for row, group, score in zip(plain.rows, plain.group, plain.score, strict=True)}
    assert dict(zip(to[other.rows].tolist(), other.group.tolist(), strict=True)) == {
        row: group for row, (group, _) in expected.items()
    }
    assert other.notes == pytest.approx(plain.notes)
    for row, score in zip(to[other.rows], other.score, strict=True):
        assert score == pytest.approx(expected[row][1])


@pytest.mark.parametrize("wrong", [{"same_distance": 0.0}, {"same_distance": 2.0}, {"min_photos": 2}, {"min_group": 0}])
def test_a_setting_out_of_range_is_named(wrong: dict[str, float]) -> None:
    vectors, names, _ = fleet()
    with pytest.raises(UserError, match=rf"set cloned_plate\.{next(iter(wrong))}=.*must be"):
        cloned_plate(embedded(vectors, names), **wrong)


def test_the_checkpoints_threshold_is_the_same_vehicle_distance_unless_another_is_given() -> None:
    vectors, names, _ = fleet(vehicles=3)
    photos = embedded(vectors, names)
    assert "equal error rate" in str(cloned_plate(photos).notes["same_distance chosen by"])
    photos.same_distance, photos.embedder = 0.7, "reid"
    assert cloned_plate(photos).notes["same_distance"] == 0.7
    assert "reid" in str(cloned_plate(photos).notes["same_distance chosen by"])
    assert cloned_plate(photos, same_distance=0.9).notes["same_distance"] == 0.9
