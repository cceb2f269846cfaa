"""Published figures, a naive loop, pytorch-metric-learning, and the rules of ties and exclusion."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.metrics.retrieval import Retrieval, ranking_scores, retrieve


def plane(degrees: Sequence[float] | np.ndarray) -> np.ndarray:
    angles = np.deg2rad(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def unit_vectors(seed: int, count: int, dimensions: int = 16) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clustered(seed: int, count: int, identities: int) -> tuple[np.ndarray, np.ndarray]:
    """Identities that overlap, so that no figure is near 0 or 1."""
    labels = np.random.default_rng(seed).integers(identities, size=count)
    vectors = unit_vectors(seed, count) + 1.2 * unit_vectors(seed + 1, identities)[labels]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def naive_ranks(query: np.ndarray, gallery: np.ndarray, relevant: np.ndarray, kept: np.ndarray) -> list[int]:
    """Ranks of the relevant items; of equally near items those of other identities first."""
    similarity = (gallery.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    order = sorted(np.flatnonzero(kept), key=lambda item: (-similarity[item], relevant[item]))
    return [rank for rank, item in enumerate(order, start=1) if relevant[item]]


def naive_scores(ranks: list[int]) -> tuple[float, float, float, float]:
    total = len(ranks)
    hits = [1.0 if rank in ranks else 0.0 for rank in range(1, max(ranks) + 1)]
    precision = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    average_precision = sum(p * hit for p, hit in zip(precision, hits, strict=True)) / total
    top = list(zip(precision, hits, strict=True))[:total]
    return average_precision, hits[0], sum(hits[:total]) / total, sum(p * hit for p, hit in top) / total


def assert_equal(left: Retrieval, right: Retrieval) -> None:
    for name, values in vars(left).items():
        np.testing.assert_array_equal(values, getattr(right, name), err_msg=name)


def test_published_figures_of_eight_angles() -> None:
    vectors, labels = plane([0, 10, 25, 40, 60, 75, 100, 130]), np.array([0, 1, 0, 1, 0, 1, 2, 2])
    figures = retrieve(vectors, labels, vectors, labels, exclude_self=True).summary()
    assert figures["precision_at_1"] == figures["rank1"] == pytest.approx(0.125)
    assert figures["r_precision"] == pytest.approx(0.1875)
    assert figures["map_at_r"] == pytest.approx(0.15625)
    assert figures["mAP"] == pytest.approx(0.483333, abs=1e-6)


@given(st.sets(st.integers(1, 30), min_size=1, max_size=10))
def test_scores_of_a_ranking_equal_naive_loop(ranks: set[int]) -> None:
    assert ranking_scores(np.array(sorted(ranks))) == pytest.approx(naive_scores(sorted(ranks)))


@given(st.integers(0, 10_000), st.booleans(), st.booleans(), st.integers(1, 40))
def test_equals_naive_loop(seed: int, exclude_self: bool, with_groups: bool, block: int) -> None:
    generator = np.random.default_rng(seed)
    # Few distinct directions in the plane: equal vectors, ties across identities, and queries without an
    # answer.
    vectors = plane(generator.integers(0, 12, size=25) * 30)
    labels, groups = generator.integers(0, 9, size=25), generator.integers(0, 2, size=25)
    given_groups = groups if with_groups else None
    found = retrieve(
        vectors,
        labels,
        vectors,
        labels,
        exclude_self=exclude_self,
        query_groups=given_groups,
        gallery_groups=given_groups,
        block=block,
    )
    for query in range(25):
        mates = labels == labels[query]
        ignored = mates & (groups == groups[query]) if with_groups else np.zeros(25, dtype=bool)
        if exclude_self:
            ignored[query] = True
        ranks = naive_ranks(vectors[query], vectors, mates, ~ignored)
        assert found.valid[query] == bool(ranks)
        if ranks:
            assert found.first_hit_rank[query] == ranks[0]
            scores = found.average_precision, found.precision_at_1, found.r_precision, found.map_at_r
            assert [score[query] for score in scores] == pytest.approx(naive_scores(ranks))
        else:
            assert found.first_hit_rank[query] == 0
            assert np.isnan(found.average_precision[query])


@pytest.mark.parametrize("seed", range(2))
def test_equals_pytorch_metric_learning(seed: int) -> None:
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    vectors, labels = clustered(seed, count=150, identities=20)
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision")
    calculator = AccuracyCalculator(include=names, k=None, knn_func=CustomKNN(CosineSimilarity()))
    theirs = calculator.get_accuracy(torch.from_numpy(vectors), torch.from_numpy(labels))
    ours = retrieve(vectors, labels, vectors, labels, exclude_self=True).summary()
    assert 0.1 < ours["mAP"] < 0.9
    ours_named = [ours[name] for name in ("precision_at_1", "r_precision", "map_at_r", "mAP")]
    assert ours_named == pytest.approx([theirs[name] for name in names], abs=1e-6)


def test_block_and_gallery_chunk_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = clustered(3, count=300, identities=40)
    vectors = np.concatenate([vectors, vectors[::-1]])
    labels = np.concatenate([labels, np.roll(labels, 1)])
    whole = retrieve(vectors, labels, vectors, labels, exclude_self=True, block=10_000)
    monkeypatch.setattr("siamclip.metrics.retrieval._GALLERY_CHUNK", 37)
    for block in (1, 7, 64):
        assert_equal(retrieve(vectors, labels, vectors, labels, exclude_self=True, block=block), whole)


def test_order_of_the_gallery_changes_nothing_even_with_ties() -> None:
    generator = np.random.default_rng(0)
    queries, gallery = plane([0, 30, 60]), plane(generator.integers(0, 4, size=40) * 30.0)
    labels, shuffled = generator.integers(0, 3, size=40), generator.permutation(40)
    wanted = np.array([0, 1, 2])
    first = retrieve(queries, wanted, gallery, labels)
    assert_equal(retrieve(queries, wanted, gallery[shuffled], labels[shuffled]), first)


def test_collapsed_space_scores_worst_not_best() -> None:
    vectors, labels = plane([45] * 6), np.array(["a", "a", "b", "b", "c", "c"])
    found = retrieve(vectors, labels, vectors, labels, exclude_self=True)
    assert found.first_hit_rank.tolist() == [5] * 6


def test_same_camera_is_ignored_but_other_identities_of_that_camera_count() -> None:
    gallery, labels = plane([1, 2, 3]), np.array([7, 8, 7])
    found = retrieve(
        plane([0]),
        np.array([7]),
        gallery,
        labels,
        query_groups=np.array(["c1"]),
        gallery_groups=np.array(["c1", "c1", "c2"]),
    )
    assert found.first_hit_rank.tolist() == [2]


def test_queries_without_an_answer_are_left_out_and_counted() -> None:
    vectors, labels = plane([0, 5, 90]), np.array(["京A12345", "京A12345", "沪B1"])
    found = retrieve(vectors, labels, vectors, labels, exclude_self=True)
    assert found.left_out == 1
    assert found.valid.tolist() == [True, True, False]
    assert found.summary()["mAP"] == 1


def test_cumulative_match_and_weights() -> None:
    nan = np.full(4, np.nan)
    ranks = np.array([1, 5, 10, 11])
    found = Retrieval(ranks, 1 / ranks, nan, nan, nan, valid=np.ones(4, dtype=bool))
    assert [found.summary()[name] for name in ("rank1", "rank5", "rank10")] == [0.25, 0.5, 0.75]
    weighted = found.summary(np.array([0, 1, 3, 0]))
    assert [weighted[name] for name in ("rank1", "rank5", "rank10")] == [0, 0.25, 1]
    assert weighted["mAP"] == pytest.approx((1 / 5 + 3 / 10) / 4)


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_whole_weights_equal_repeated_queries(seed: int) -> None:
    vectors, labels = clustered(seed, count=30, identities=5)
    times = np.append(1, np.random.default_rng(seed).integers(0, 3, size=29))
    found = retrieve(vectors, labels, vectors, labels)
    again = retrieve(np.repeat(vectors, times, axis=0), np.repeat(labels, times), vectors, labels)
    assert found.summary(times) == pytest.approx(again.summary())


def test_no_answer_at_all_is_undefined() -> None:
    with pytest.raises(ValueError, match="relevant"):
        retrieve(plane([0]), np.array([1]), plane([0]), np.array([2])).summary()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gallery": plane([0, 10]) * 2}, "gallery: row 0 has length 2"),
        ({"gallery": np.full((2, 2), np.nan)}, "gallery: row 0"),
        ({"gallery": np.eye(3)[:2]}, "2 dimensions"),
        ({"gallery_labels": np.array([1])}, "gallery_labels"),
        ({"query_groups": np.array([1])}, "together"),
        ({"exclude_self": True}, "one list"),
    ],
)
def test_arguments_that_do_not_fit(change: dict, message: str) -> None:
    arguments = {
        "queries": plane([0]),
        "query_labels": np.array([1]),
        "gallery": plane([0, 10]),
        "gallery_labels": np.array([1, 2]),
    }
    with pytest.raises(ValueError, match=message):
        retrieve(**(arguments | change))
