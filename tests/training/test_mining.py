"""Hard negatives, against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.training.mining import hard_negatives
from tests.drawn_pairs import collections, labels_of, rng, seeds


@settings(max_examples=50)
@given(collections, st.integers(1, 30), st.integers(1, 7), seeds)
def test_hard_negatives_equal_brute_force(counts: list[int], pool: int, block: int, seed: int) -> None:
    labels = labels_of(counts)
    embeddings = rng(seed).normal(size=(len(labels), 5))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    found = hard_negatives(embeddings, labels, pool, block)
    assert found.shape == (len(labels), pool)
    for i, row in enumerate(found):
        others = [j for j in range(len(labels)) if labels[j] != labels[i]]
        others.sort(key=lambda j: -float(embeddings[i] @ embeddings[j]))
        expected = others[:pool]
        assert row[len(expected) :].tolist() == [-1] * (pool - len(expected))
        # two photos at the same distance up to rounding may stand in either order
        np.testing.assert_allclose(
            embeddings[row[: len(expected)]] @ embeddings[i], embeddings[expected] @ embeddings[i], atol=1e-6
        )
        assert set(row[: len(expected)].tolist()) <= set(others)
        assert len(set(row[: len(expected)].tolist())) == len(expected)
