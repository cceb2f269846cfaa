"""Pairs of photos, drawn from labels alone.

Everything here is a pure function of its arguments and a seeded generator: the same seed gives the same pairs.
Labels must be sorted, as `Collection` keeps them: the photos of one identity then are a range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """`same[i]` tells whether photos `first[i]` and `second[i]` show one identity; (P,) each.

    Boolean, but for images with soft labels: there it is how far the labels of both agree, in [0, 1].
    """

    first: np.ndarray
    second: np.ndarray
    same: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, index: np.ndarray) -> Pairs:
        return Pairs(self.first[index], self.second[index], self.same[index])


def ranges(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First photo and number of photos of each identity, (C,) each, from sorted labels (N,)."""
    counts = np.bincount(labels)
    return np.cumsum(counts) - counts, counts


def number_of_positives(pairs: int, positive_ratio: float) -> int:
    """How many of an identity's pairs are positive: neither none nor all, whatever the ratio rounds to."""
    return min(max(1, round(pairs * positive_ratio)), pairs - 1)


def draw_negative(
    anchor: int, start: int, count: int, total: int, rng: np.random.Generator, neighbours: np.ndarray | None
) -> int:
    if neighbours is not None:
        near = neighbours[anchor]
        near = near[near >= 0]
        if len(near):
            return int(rng.choice(near))
    other = int(rng.integers(total - count))  # all photos but the identity's own range
    return other if other < start else other + count


def fixed_pairs(labels: np.ndarray, pairs_per_class: int, positive_ratio: float, seed: int) -> Pairs:
    """Pairs to measure on: the same for the same photos and seed, none twice, in either order.

    An identity with few photos gives all its positive pairs, which may be fewer than its share of negatives;
    `balance` weighs the two kinds back to `positive_ratio`.
    """
    rng = np.random.default_rng([seed, 0x56414C])  # apart from the streams that draw training pairs
    starts, counts = ranges(labels)
    total = len(labels)
    chosen: dict[tuple[int, int], bool] = {}
    for start, count in zip(starts, counts, strict=True):
        positives = np.stack(np.triu_indices(count, k=1), axis=1) if count <= 512 else _sparse(count, 512, rng)
        wanted = number_of_positives(pairs_per_class, positive_ratio)
        for i in rng.permutation(len(positives))[:wanted]:
            a, b = positives[i]
            chosen[int(start + a), int(start + b)] = True
        for _ in range(pairs_per_class - wanted):
            anchor = int(start + rng.integers(count))
            other = draw_negative(anchor, start, count, total, rng, None)
            chosen[min(anchor, other), max(anchor, other)] = False
    flat = np.array([(*pair, same) for pair, same in chosen.items()], dtype=np.int64)
    return Pairs(flat[:, 0], flat[:, 1], flat[:, 2].astype(bool))


def _sparse(count: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """`number` pairs a < b below `count`, without listing all of them."""
    pairs = rng.integers(count, size=(2 * number, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    return pairs[rng.permutation(len(pairs))[:number]]


def all_pairs(labels: np.ndarray, max_negatives: int, seed: int) -> Pairs:
    """Every positive pair, and every negative one or, beyond `max_negatives`, a seeded sample of that size."""
    total = len(labels)
    starts, counts = ranges(labels)
    first = [start + np.triu_indices(count, k=1)[0] for start, count in zip(starts, counts, strict=True)]
    second = [start + np.triu_indices(count, k=1)[1] for start, count in zip(starts, counts, strict=True)]
    positive = np.stack([np.concatenate(first), np.concatenate(second)], axis=1)
    number = total * (total - 1) // 2 - len(positive)
    if number <= max_negatives:
        a, b = np.triu_indices(total, k=1)
        negative = np.stack([a, b], axis=1)[labels[a] != labels[b]]
    else:
        rng = np.random.default_rng([seed, 0x414C4C])
        drawn = np.empty((0, 2), np.int64)
        while len(drawn) < max_negatives:
            more = np.sort(rng.integers(total, size=(2 * max_negatives, 2)), axis=1)
            more = more[labels[more[:, 0]] != labels[more[:, 1]]]
            drawn = np.unique(np.concatenate([drawn, more]), axis=0)
        negative = drawn[np.sort(rng.permutation(len(drawn))[:max_negatives])]
    both = np.concatenate([positive, negative])
    same = np.arange(len(both)) < len(positive)
    return Pairs(both[:, 0], both[:, 1], same)


def balance(same: np.ndarray, positive_ratio: float) -> np.ndarray:
    """Weights (P,) that sum to P and under which the share of same pairs is `positive_ratio`."""
    share = same.mean()
    return np.where(same, positive_ratio / share, (1 - positive_ratio) / (1 - share))
