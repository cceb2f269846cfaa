"""K-means: small clusters, scores against a naive loop, many photos."""

from __future__ import annotations

import numpy as np
import pytest

from siamclip.cleaning.consistency import kmeans as kmeans_module
from siamclip.cleaning.consistency.kmeans import kmeans
from tests.cleaning.consistency.embedded import around, crowd_and_outliers, embedded


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
