"""Indexes: no wrong pair, and a recall that is what a count against the exact answer says."""

from __future__ import annotations

import numpy as np
import pytest

from siamclip.cleaning.duplicates.cosine import faiss_index as cosine_index
from siamclip.cleaning.duplicates.cosine.cosine_search import NearPairs, pairs_above
from siamclip.cleaning.duplicates.cosine.faiss_index import Recall, measured_recall, pairs_by_index, sampled


def clustered(number: int, dimension: int = 32, seed: int = 0) -> np.ndarray:
    """Places, views around them, and a fifth of the rows near-copies of other rows."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((number // 20, dimension))
    vectors = places[rng.integers(0, len(places), number)] + 0.5 * rng.standard_normal((number, dimension))
    copies = number // 5
    vectors[:copies] = vectors[rng.integers(0, number, copies)] + 0.15 * rng.standard_normal((copies, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pairs_of(found: NearPairs) -> dict[tuple[int, int], float]:
    assert (found.first < found.second).all()
    return dict(
        zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.distance.tolist(), strict=True)
    )


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_finds_true_pairs_only_and_nearly_all(kind: str) -> None:
    vectors = clustered(3000)
    everyone = np.ones(len(vectors), bool)
    exact = pairs_above(vectors, 0.95)
    found, notes = pairs_by_index(kind, vectors, 0.95, everyone)
    truth, answer = pairs_of(exact), pairs_of(found)
    assert len(truth) > 500
    assert answer.items() <= truth.items()
    recall = measured_recall(vectors, 0.95, everyone, found, sample=len(vectors))
    assert recall == Recall(3000, len(truth), len(answer))  # a sample of all is no estimate
    assert recall.share is not None and recall.share >= 0.99
    assert all(effort >= 1 for effort in notes.values())


def test_a_recall_below_1_is_said() -> None:
    vectors = clustered(2000)
    everyone = np.ones(len(vectors), bool)
    exact = pairs_above(vectors, 0.95)
    half = NearPairs(exact.first[::2], exact.second[::2], exact.distance[::2])
    whole = measured_recall(vectors, 0.95, everyone, exact, sample=500)
    assert whole.photos == 500 and whole.found == whole.pairs > 50
    partly = measured_recall(vectors, 0.95, everyone, half, sample=500)
    assert partly.pairs == whole.pairs
    assert partly.share == pytest.approx(0.5, abs=0.15)


def test_a_sample_without_pairs_knows_nothing() -> None:
    vectors = np.eye(40, dtype=np.float32)
    nothing = NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    assert measured_recall(vectors, 0.95, np.ones(40, bool), nothing).share is None
    for kind in ("ivf", "hnsw"):
        assert len(pairs_by_index(kind, vectors, 0.95, np.ones(40, bool))[0]) == 0


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_rows_that_do_not_ask_are_never_paired_with_each_other(kind: str) -> None:
    vectors = clustered(1500)
    asks = np.arange(1500) % 3 == 0
    found = pairs_of(pairs_by_index(kind, vectors, 0.95, asks)[0])
    expected = {pair for pair in pairs_of(pairs_above(vectors, 0.95)) if asks[list(pair)].any()}
    assert found.keys() <= expected
    assert len(found) >= 0.98 * len(expected) > 100


def test_hnsw_asks_for_more_neighbours_where_many_are_near() -> None:
    rng = np.random.default_rng(1)
    vectors = np.concatenate([np.tile(np.eye(1, 16), (200, 1)), rng.standard_normal((300, 16))])
    vectors[:200] += 0.01 * rng.standard_normal((200, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    found, _ = pairs_by_index("hnsw", vectors, 0.97, np.ones(500, bool))
    assert len(found) == len(pairs_above(vectors, 0.97)) >= 200 * 199 // 2


def test_the_effort_rises_until_the_sample_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a low threshold the pairs of a photo lie in many lists, and one list is not enough."""
    vectors = clustered(2000, dimension=8)
    monkeypatch.setattr(cosine_index, "TARGET_RECALL", 0.0)
    lazy, lazy_notes = pairs_by_index("ivf", vectors, 0.8, np.ones(2000, bool))
    monkeypatch.undo()
    found, notes = pairs_by_index("ivf", vectors, 0.8, np.ones(2000, bool))
    exact = len(pairs_above(vectors, 0.8))
    assert lazy_notes["lists searched"] < notes["lists searched"] <= notes["lists"]
    assert len(lazy) < 0.99 * exact <= len(found)


def test_ivf_gives_the_same_answer_for_the_same_seed() -> None:
    vectors, everyone = clustered(1000), np.ones(1000, bool)
    once, again = (pairs_by_index("ivf", vectors, 0.9, everyone, seed=3) for _ in range(2))
    assert pairs_of(once[0]) == pairs_of(again[0]) and once[1] == again[1]


def test_samples_are_drawn_from_the_rows_that_ask() -> None:
    asks = np.arange(100) % 2 == 1
    rows = sampled(asks, seed=1, sample=20)
    assert len(set(rows)) == 20 and asks[rows].all()
    assert len(sampled(asks, seed=1, sample=200)) == 50
    assert list(sampled(asks, 1, 20)) == list(rows) != list(sampled(asks, 2, 20))
