"""Neighbours against a naive search, exact and by an index; the robust centre against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from siamclip.cleaning.consistency import neighbours as module
from siamclip.cleaning.consistency.neighbours import nearest, robust_centre, usable_rows
from siamclip.errors import UserError
from tests.cleaning.consistency.embedded import embedded, unit


def naive(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    distance = np.array([[np.linalg.norm(a - b) for b in wide] for a in wide])
    np.fill_diagonal(distance, np.inf)
    return distance


def test_the_nearest_are_those_of_a_naive_search() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(60, 8)))
    distance = naive(vectors)
    found = nearest(vectors, 7, np.arange(60))
    assert np.array_equal(found.index, np.argsort(distance, axis=1)[:, :7])
    assert np.allclose(found.distance, np.sort(distance, axis=1)[:, :7], atol=1e-12)
    assert found.notes == {}


def test_a_photo_among_equal_ones_is_not_its_own_neighbour_and_equal_is_zero() -> None:
    vectors = unit(np.tile(np.random.default_rng(1).normal(size=(1, 512)), (9, 1)))
    found = nearest(vectors, 3, np.arange(9))
    assert (found.index != np.arange(9)[:, None]).all()
    assert (found.distance == 0).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(3).normal(size=(97, 8)))
    whole = nearest(vectors, 12, np.arange(97))
    monkeypatch.setattr(module, "_BLOCK", 4)
    parts = nearest(vectors, 12, np.arange(97))
    assert np.array_equal(parts.index, whole.index)
    assert np.array_equal(parts.distance, whole.distance)


def test_where_there_are_fewer_the_rest_is_marked() -> None:
    vectors = unit(np.eye(3))
    found = nearest(vectors, 5, np.arange(3))
    assert (found.index[:, 2:] == -1).all()
    assert np.isinf(found.distance[:, 2:]).all()
    assert np.allclose(found.distance[:, :2], 2**0.5)
    assert nearest(vectors, 2, np.empty((0, 3), np.float32), own=False).index.shape == (0, 2)


def test_beyond_the_exact_limit_an_index_states_its_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    vectors = unit(rng.normal(size=(3000, 16)))
    exact = nearest(vectors, 5, np.arange(3000))
    monkeypatch.setattr(module, "EXACT_LIMIT", 1000)
    found = nearest(vectors, 5, np.arange(3000))
    true = np.mean([np.isin(a, b).mean() for a, b in zip(exact.index, found.index, strict=True)])
    assert 0.5 < true < 1, "few of the lists were searched"
    assert abs(float(found.notes["recall of the search"]) - true) < 0.05
    assert (found.distance >= exact.distance - 1e-9).all(), "what is missed makes a photo look lonelier, never less so"
    # Medoids and vectors of others are asked for by value: then nothing is its own neighbour.
    others = unit(rng.normal(size=(200, 16)))
    by_value = nearest(vectors, 5, others, own=False)
    assert 0 < float(by_value.notes["recall of the search"]) <= 1
    assert "inverted lists" in str(found.notes["search"])
    assert np.array_equal(found.index, nearest(vectors, 5, np.arange(3000)).index), "the same seed, the same answer"


@pytest.mark.parametrize("number", [1, 2, 9, 100])
def test_the_robust_centre_is_median_and_scaled_mad(number: int) -> None:
    values = np.random.default_rng(number).normal(3, 2, number)
    median, spread = robust_centre(values)
    assert median == np.median(values)
    assert spread == pytest.approx(median_abs_deviation(values) * 1.4826)


def test_where_most_values_are_equal_the_mean_deviation_stands_in() -> None:
    assert robust_centre(np.array([1.0, 1, 1, 1, 2])) == (1.0, pytest.approx(1.2533 * 0.2))
    assert robust_centre(np.ones(4)) == (1.0, 0.0)
    assert robust_centre(np.empty(0)) == (0.0, 0.0)


def test_unreadable_photos_are_not_usable_and_rows_follow_the_content() -> None:
    photos = embedded(np.vstack([np.full((1, 3), np.nan), np.eye(3)]))
    photos.content = np.array([b"a", b"d", b"b", b"c"], "S32")
    assert usable_rows(photos).tolist() == [2, 3, 1]
    photos.embeddings = None
    with pytest.raises(UserError, match="embedder newest"):
        usable_rows(photos)
