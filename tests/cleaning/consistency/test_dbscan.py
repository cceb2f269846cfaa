"""DBSCAN against scikit-learn, and the radius that it chooses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from siamclip.cleaning.consistency.dbscan import dbscan, knee
from tests.cleaning.consistency.embedded import crowd_and_outliers, embedded


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
