"""k-NN against scikit-learn, and with an archive."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from siamclip.cleaning.consistency.knn import knn
from tests.cleaning.consistency.embedded import OUTLIERS, around, crowd_and_outliers, embedded


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
