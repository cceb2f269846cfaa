"""Collections as hypothesis draws them, and pairs as tuples."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from siamclip.data.pairs import Pairs

# Photos of each identity: two identities or more, one of them with two photos or more.
collections = st.lists(st.integers(1, 9), min_size=2, max_size=12).filter(lambda counts: max(counts) > 1)
seeds = st.integers(0, 2**32 - 1)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def as_tuples(pairs: Pairs) -> list[tuple[int, int, bool]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.same.tolist(), strict=True))
