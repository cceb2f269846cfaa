"""Suspected label errors: against a naive loop, planted ones, and folders too small to say much."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.consistency import label_errors as module
from siamclip.cleaning.consistency.label_errors import label_errors
from siamclip.errors import UserError
from tests.cleaning.consistency.embedded import around, embedded, permuted, unit


def folders(sizes: list[int], spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(len(sizes), 24)))
    vectors = np.vstack([around(centre, size, spread, rng) for centre, size in zip(centres, sizes, strict=True)])
    return vectors, [f"plate{i:02}" for i, size in enumerate(sizes) for _ in range(size)]


def naive_scores(vectors: np.ndarray, names: list[str]) -> np.ndarray:
    """NaN for a photo alone in its folder."""
    wide = vectors.astype(np.float64)
    members = {name: [i for i, other in enumerate(names) if other == name] for name in set(names)}

    def medoid(rows: list[int]) -> int:
        return min(rows, key=lambda i: sum(np.linalg.norm(wide[i] - wide[j]) for j in rows))

    scores = np.full(len(names), np.nan)
    medoids = {name: medoid(rows) for name, rows in members.items()}
    for i, name in enumerate(names):
        rest = [j for j in members[name] if j != i]
        if rest:
            own_medoid = np.linalg.norm(wide[i] - wide[medoid(rest)])
            own_nearest = min(np.linalg.norm(wide[i] - wide[j]) for j in rest)
            other_medoid = min(np.linalg.norm(wide[i] - wide[medoids[other]]) for other in members if other != name)
            other_nearest = min(np.linalg.norm(wide[i] - wide[j]) for j in range(len(names)) if names[j] != name)
            scores[i] = (own_medoid + own_nearest - other_medoid - other_nearest) / 2
    return scores


@pytest.mark.parametrize("spread", [0.3, 1.5])
def test_scores_are_those_of_a_naive_loop(spread: float) -> None:
    vectors, names = folders([1, 2, 2, 5, 9, 12], spread)
    scores = naive_scores(vectors, names)
    found = label_errors(embedded(vectors, names), margin=0.0)
    assert set(found.rows.tolist()) == set(np.flatnonzero(scores > 0).tolist())
    assert np.allclose(found.score, scores[found.rows], atol=1e-6)
    known = scores[np.isfinite(scores)]
    spread_of = 1.4826 * np.median(np.abs(known - np.median(known)))
    chosen = label_errors(embedded(vectors, names), deviations=2.0).notes["margin"]
    assert chosen == pytest.approx(max(0.0, np.median(known) + 2 * spread_of), abs=1e-6)


def test_a_moved_photo_is_found_with_its_better_label() -> None:
    vectors, names = folders([8] * 10)
    names[3], names[41] = "plate07", "plate00"
    photos = embedded(vectors, names)
    found = label_errors(photos)
    assert sorted(found.rows) == [3, 41]
    assert found.keep.all()
    for row, near, reason in zip(found.rows, found.related, found.reason, strict=True):
        better = {3: "plate00", 41: "plate05"}[int(row)]
        assert photos.identities[photos.labels[near]] == better
        of_better = [i for i, name in enumerate(names) if name == better]
        assert near == min(of_better, key=lambda i: float(np.linalg.norm(vectors[i] - vectors[row])))
        assert f"from that of {better}" in reason
        assert "from the medoid of its own folder" in reason


def test_of_two_photos_in_a_folder_the_one_near_another_is_suspected() -> None:
    vectors, names = folders([2] * 30)
    names[0] = "plate20"
    found = label_errors(embedded(vectors, names))
    assert found.rows[0] == 0
    assert not np.isin(np.flatnonzero(np.array(names) == "plate20")[1:], found.rows).any()


def test_nothing_is_said_of_photos_alone_in_their_folders() -> None:
    vectors, names = folders([1] * 6)
    found = label_errors(embedded(vectors, names))
    assert len(found) == 0
    assert found.notes["not judged"] == "no folder has two photos"
    vectors, names = folders([1, 1, 4, 4])
    assert label_errors(embedded(vectors, names)).notes["alone in their folder, not judged"] == 2


@pytest.mark.parametrize("sizes", [[], [1], [2], [7]])
def test_fewer_than_two_folders_are_not_judged(sizes: list[int]) -> None:
    vectors, names = folders(sizes) if sizes else (np.empty((0, 24), np.float32), [])
    found = label_errors(embedded(vectors, names))
    assert len(found) == 0
    assert "at least 2 are needed" in str(found.notes["not judged"])


def test_a_flat_collection_has_no_labels_to_be_wrong() -> None:
    assert len(label_errors(embedded(folders([9])[0]))) == 0


def test_equal_photos_in_all_folders_are_not_suspected() -> None:
    vectors = unit(np.ones((12, 24)))
    assert len(label_errors(embedded(vectors, [f"plate{i % 3}" for i in range(12)]))) == 0


def test_archived_photos_stand_for_their_label_and_are_not_judged() -> None:
    vectors, names = folders([8] * 10)
    names[3], names[41] = "plate07", "plate00"
    archived = np.arange(80) >= 40
    assert label_errors(embedded(vectors, names, archived=archived)).rows.tolist() == [3]
    archived = np.arange(80) < 40
    found = label_errors(embedded(vectors, names, archived=archived))
    assert found.rows.tolist() == [41]


def test_unreadable_photos_take_no_part() -> None:
    vectors, names = folders([8] * 10)
    names[3] = "plate07"
    vectors[10:14] = np.nan
    assert label_errors(embedded(vectors, names)).rows.tolist() == [3]


def test_large_folders_are_represented_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, names = folders([60, 8, 8, 8, 8])
    names[3] = "plate02"
    monkeypatch.setattr(module, "_REFERENCES", 20)
    assert label_errors(embedded(vectors, names)).rows.tolist() == [3]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_files_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, names = folders(rng.integers(1, 7, 8).tolist(), 1.0, seed)
    photos = embedded(vectors, names)
    to = rng.permutation(len(photos))
    plain, other = label_errors(photos, margin=0.01), label_errors(permuted(photos, to), margin=0.01)
    expected = {row: (score, near) for row, score, near in zip(plain.rows, plain.score, plain.related, strict=True)}
    assert set(to[other.rows].tolist()) == set(plain.rows.tolist())
    for row, score, near in zip(to[other.rows], other.score, to[other.related], strict=True):
        assert score == pytest.approx(expected[row][0], abs=1e-6)
        assert near == expected[row][1]


@pytest.mark.parametrize(
    "wrong", [{"deviations": 0.0}, {"deviations": float("inf")}, {"margin": -0.1}, {"margin": 3.0}]
)
def test_a_setting_out_of_range_is_named(wrong: dict[str, float]) -> None:
    vectors, names = folders([2, 2])
    with pytest.raises(UserError, match=rf"set label_errors\.{next(iter(wrong))}=.*must be"):
        label_errors(embedded(vectors, names), **wrong)
