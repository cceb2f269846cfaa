"""knn, dbscan and kmeans: against scikit-learn and naive loops, and what all three must hold to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.neighbors import NearestNeighbors

from siamclip.cleaning.consistency import kmeans as kmeans_module
from siamclip.cleaning.consistency.dbscan import dbscan, knee
from siamclip.cleaning.consistency.kmeans import kmeans
from siamclip.cleaning.consistency.knn import knn
from siamclip.cleaning.contracts import Findings
from siamclip.errors import UserError
from tests.cleaning.consistency.embedded import around, embedded, permuted, unit

METHODS: list[Callable[..., Findings]] = [knn, dbscan, kmeans]
OUTLIERS = 4


def crowd_and_outliers(seed: int = 0, number: int = 200) -> np.ndarray:
    """Two crowds, and OUTLIERS lone vectors at the end, far from both and from each other."""
    rng = np.random.default_rng(seed)
    axes = np.eye(16)
    crowds = [around(axes[side], number // 2, 0.4, rng) for side in (0, 1)]
    return np.vstack([*crowds, unit(axes[8 : 8 + OUTLIERS])])


@pytest.mark.parametrize("method", METHODS)
def test_lone_outliers_are_found_first_and_kept(method: Callable[..., Findings]) -> None:
    vectors = crowd_and_outliers()
    found = method(embedded(vectors))
    assert set(found.rows[:OUTLIERS].tolist()) == set(range(len(vectors) - OUTLIERS, len(vectors)))
    assert len(found) <= OUTLIERS + 10
    assert found.flagged.all()
    assert found.keep.all(), "outliers are shown, never removed by themselves"
    assert (np.diff(found.score) <= 0).all(), "higher is more suspect, the worst first"
    assert found.notes["judged"] == len(vectors)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", range(5))
def test_tiny_collections_give_no_findings_or_an_honest_few(method: Callable[..., Findings], number: int) -> None:
    found = method(embedded(unit(np.eye(6)[:number]) if number else np.empty((0, 6), np.float32)))
    assert len(found) == 0
    assert "not judged" in found.notes or number >= 3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("number", [3, 30])
def test_equal_photos_are_no_outliers(method: Callable[..., Findings], number: int) -> None:
    vectors = unit(np.tile(np.random.default_rng(0).normal(size=(1, 64)), (number, 1)))
    assert len(method(embedded(vectors))) == 0


@pytest.mark.parametrize("method", METHODS)
def test_unreadable_photos_take_no_part(method: Callable[..., Findings]) -> None:
    vectors = crowd_and_outliers()
    holes = np.full((30, vectors.shape[1]), np.nan, np.float32)
    found = method(embedded(np.vstack([vectors, holes])))
    assert (found.rows < len(vectors)).all()
    assert sorted(found.rows) == sorted(method(embedded(vectors)).rows)
    assert len(method(embedded(holes))) == 0


@pytest.mark.parametrize("method", METHODS)
def test_archived_photos_are_not_judged(method: Callable[..., Findings]) -> None:
    vectors = crowd_and_outliers()
    archived = np.zeros(len(vectors), bool)
    archived[-2:] = archived[:150] = True
    found = method(embedded(vectors, archived=archived))
    assert not archived[found.rows].any()
    assert {len(vectors) - 4, len(vectors) - 3} <= set(found.rows.tolist())
    assert found.notes["judged"] == int((~archived).sum())


def test_knn_takes_archived_photos_as_neighbours() -> None:
    rng = np.random.default_rng(0)
    vectors = np.vstack([crowd_and_outliers(), around(np.eye(16)[8], 12, 0.4, rng)])
    archived = np.arange(len(vectors)) >= len(vectors) - 12
    lone = len(vectors) - 12 - OUTLIERS
    assert lone not in knn(embedded(vectors, archived=archived)).rows
    assert lone in knn(embedded(vectors[:-12])).rows


def test_knn_scores_are_scikit_learns_distances() -> None:
    vectors = crowd_and_outliers(3)
    distance, index = NearestNeighbors(n_neighbors=5).fit(vectors).kneighbors()
    found = knn(embedded(vectors), neighbours=5, threshold=0.0)
    assert sorted(found.rows) == list(range(len(vectors)))
    assert np.allclose(found.score, distance[found.rows, -1], atol=1e-6)
    assert np.array_equal(found.related, index[found.rows, 0])
    chosen = float(knn(embedded(vectors), neighbours=5, deviations=2.0).notes["threshold"])
    median = np.median(distance[:, -1])
    spread = 1.4826 * np.median(np.abs(distance[:, -1] - median))
    assert chosen == pytest.approx(median + 2 * spread, abs=1e-6)


@pytest.mark.parametrize("eps", [0.2, 0.45, 0.6, 1.0, None])
@pytest.mark.parametrize("min_samples", [2, 5, 10])
def test_noise_is_that_of_scikit_learn(eps: float | None, min_samples: int) -> None:
    vectors = crowd_and_outliers(4)
    found = dbscan(embedded(vectors), eps=eps, min_samples=min_samples)
    reference = DBSCAN(eps=float(found.notes["eps"]), min_samples=min_samples).fit(vectors)
    assert sorted(found.rows) == np.flatnonzero(reference.labels_ == -1).tolist()
    assert found.notes["core photos"] == len(reference.core_sample_indices_)
    if len(reference.core_sample_indices_):
        core = vectors[reference.core_sample_indices_].astype(np.float64)
        expected = [np.linalg.norm(core - vectors[row], axis=1).min() for row in found.rows]
        assert np.allclose(found.score, expected, atol=1e-6)
    else:
        assert "no core photo" in found.notes


def test_the_knee_is_where_the_curve_turns() -> None:
    curve = np.concatenate([np.linspace(0.3, 0.4, 90), np.linspace(0.42, 1.4, 10)])
    assert knee(curve) == pytest.approx(0.41), "halfway between the last low value and the first high one"
    assert knee(np.full(5, 0.7)) == 0.7
    assert knee(np.array([0.1, 0.9, 1.0])) == 1.0, "a curve that only bends down has no knee"


def test_kmeans_flags_small_clusters_and_states_what_it_chose() -> None:
    rng = np.random.default_rng(5)
    axes = np.eye(16)
    vectors = np.vstack([around(axes[0], 100, 0.3, rng), around(axes[1], 100, 0.3, rng), around(axes[2], 5, 0.1, rng)])
    found = kmeans(embedded(vectors), clusters=3, small=0.25)
    assert set(range(200, 205)) <= set(found.rows.tolist())
    assert found.notes["small clusters"] == 1
    assert "in a cluster of 5 photos" in found.reason[0]
    assert kmeans(embedded(vectors)).notes["clusters"] == round(205**0.25)


def test_kmeans_scores_are_deviations_from_the_usual_distance() -> None:
    vectors = around(np.eye(8)[0], 60, 0.5, np.random.default_rng(6))
    found = kmeans(embedded(vectors), clusters=1, small=0.0, spread=0.5)
    centre = vectors.astype(np.float64).mean(axis=0)
    distance = np.linalg.norm(vectors - centre, axis=1)
    score = (distance - np.median(distance)) / (1.4826 * np.median(np.abs(distance - np.median(distance))))
    assert set(found.rows.tolist()) == set(np.flatnonzero(score > 0.5).tolist())
    assert np.allclose(found.score, score[found.rows], atol=1e-4)


def test_kmeans_learns_from_mini_batches_and_samples_where_photos_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans_module, "_ALL_AT_ONCE", 100)
    monkeypatch.setattr(kmeans_module, "_FITTED_ON", 150)
    vectors = crowd_and_outliers()
    found = kmeans(embedded(vectors))
    assert {200, 201, 202, 203} <= set(found.rows.tolist())
    assert np.array_equal(found.rows, kmeans(embedded(vectors)).rows)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_files_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photos = embedded(np.vstack([unit(rng.normal(size=(int(rng.integers(12, 60)), 6))), np.full((2, 6), np.nan)]))
    to = rng.permutation(len(photos))
    for method, given_settings in (
        (knn, {"neighbours": 3, "deviations": 1.0}),
        (dbscan, {}),
        (kmeans, {"spread": 1.0}),
    ):
        plain, other = method(photos, **given_settings), method(permuted(photos, to), **given_settings)
        expected = dict(zip(plain.rows.tolist(), plain.score.tolist(), strict=True))
        assert dict(zip(to[other.rows].tolist(), other.score.tolist(), strict=True)) == pytest.approx(
            expected, abs=1e-5
        )
        assert other.notes == pytest.approx(plain.notes)


@pytest.mark.parametrize(
    ("method", "setting", "value"),
    [
        (knn, "neighbours", 0), (knn, "deviations", 0.0), (knn, "deviations", float("nan")), (knn, "threshold", 2.5),
        (dbscan, "eps", 0.0), (dbscan, "eps", float("nan")), (dbscan, "min_samples", 1),
        (kmeans, "clusters", 0), (kmeans, "small", 1.0), (kmeans, "spread", 0.0), (kmeans, "seed", -1),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_named(method: Callable[..., Findings], setting: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"set {method.__name__}\.{setting}=.*must be"):
        method(embedded(crowd_and_outliers()), **{setting: value})
