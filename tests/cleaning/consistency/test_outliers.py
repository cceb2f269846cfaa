"""What knn, dbscan and kmeans must all hold to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.consistency.dbscan import dbscan
from siamclip.cleaning.consistency.kmeans import kmeans
from siamclip.cleaning.consistency.knn import knn
from siamclip.cleaning.contracts import Findings
from siamclip.errors import UserError
from tests.cleaning.consistency.embedded import OUTLIERS, crowd_and_outliers, embedded, permuted, unit

METHODS: list[Callable[..., Findings]] = [knn, dbscan, kmeans]


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
