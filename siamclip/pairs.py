"""Pairs of photos and the batches of an epoch, drawn from labels alone.

Everything here is a pure function of its arguments and a seeded generator: the same seed gives the same pairs.
Labels must be sorted, as `dataset.Collection` keeps them: the photos of one identity then are a range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

# Pairs that share an anchor photo, and stay together in a batch. A batch encodes each photo once, so four pairs
# cost five encodings instead of eight; more would let a batch see too few identities.
PAIRS_AN_ANCHOR = 4


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


@dataclass(frozen=True)
class Batch:
    """Distinct photos (U,), and pairs as positions in that list: each photo is decoded and encoded once."""

    photos: np.ndarray
    pairs: Pairs

    @classmethod
    def of(cls, pairs: Pairs) -> Batch:
        photos, positions = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
        first, second = np.split(positions, 2)
        return cls(photos, Pairs(first, second, pairs.same))

    def without(self, unreadable: np.ndarray) -> Batch:
        """The same batch less the photos marked in the boolean `unreadable` (U,), and less their pairs."""
        bad = unreadable[self.pairs.first] | unreadable[self.pairs.second]
        kept = self.pairs.take(np.flatnonzero(~bad))
        renumbered = np.cumsum(~unreadable) - 1
        return Batch(self.photos[~unreadable], Pairs(renumbered[kept.first], renumbered[kept.second], kept.same))

    def renumbered(self, photos: np.ndarray) -> Batch:
        """The same batch where photo i is called `photos[i]`."""
        return Batch(photos[self.photos], self.pairs)


def ranges(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First photo and number of photos of each identity, (C,) each, from sorted labels (N,)."""
    counts = np.bincount(labels)
    return np.cumsum(counts) - counts, counts


def draw_pairs(
    labels: np.ndarray,
    samples_per_class: int,
    positive_ratio: float,
    rng: np.random.Generator,
    neighbours: np.ndarray | None = None,
) -> Pairs:
    """The training pairs of one epoch: `samples_per_class` of each identity, shuffled in runs that share an anchor.

    At least one pair of an identity is positive and one negative, but one photo alone gives negatives only; no photo
    is paired with itself. The other photo of a negative is any photo of another identity or, with `neighbours` (N, k),
    one of the anchor's row (-1 fills short rows).
    """
    starts, counts = ranges(labels)
    runs = [
        run
        for start, count in zip(starts, counts, strict=True)
        for run in _pairs_of(start, count, len(labels), samples_per_class, positive_ratio, rng, neighbours)
    ]
    rng.shuffle(runs)
    flat = np.array([pair for run in runs for pair in run], dtype=np.int64).reshape(-1, 3)
    return Pairs(flat[:, 0], flat[:, 1], flat[:, 2].astype(bool))


def _pairs_of(
    start: int,
    count: int,
    total: int,
    samples: int,
    positive_ratio: float,
    rng: np.random.Generator,
    neighbours: np.ndarray | None,
) -> Iterator[list[tuple[int, int, int]]]:
    """Runs of up to PAIRS_AN_ANCHOR (first, second, same) of the identity with photos start ... start + count - 1."""
    positives = _positives(samples, positive_ratio) if count > 1 else 0
    # Spread over the runs, so that each anchor is both pulled and pushed.
    same = np.linspace(0, positives, samples + 1).round().astype(int)
    same = np.diff(same).astype(bool) if positives else np.zeros(samples, bool)
    anchors = start + rng.permutation(count)
    for number, at in enumerate(range(0, samples, PAIRS_AN_ANCHOR)):
        anchor = anchors[number % count]
        others = start + rng.permutation(count)
        others = others[others != anchor]
        run = []
        for i, is_same in enumerate(same[at : at + PAIRS_AN_ANCHOR]):
            other = others[i % len(others)] if is_same else _negative(anchor, start, count, total, rng, neighbours)
            run.append((int(anchor), int(other), int(is_same)))
        yield run


def _positives(pairs: int, positive_ratio: float) -> int:
    """How many of an identity's pairs are positive: neither none nor all, whatever the ratio rounds to."""
    return min(max(1, round(pairs * positive_ratio)), pairs - 1)


def _negative(
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
        wanted = _positives(pairs_per_class, positive_ratio)
        for i in rng.permutation(len(positives))[:wanted]:
            a, b = positives[i]
            chosen[int(start + a), int(start + b)] = True
        for _ in range(pairs_per_class - wanted):
            anchor = int(start + rng.integers(count))
            other = _negative(anchor, start, count, total, rng, None)
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


def pair_batches(pairs: Pairs, batch_size: int) -> list[Batch]:
    return [
        Batch.of(pairs.take(np.arange(i, min(i + batch_size, len(pairs))))) for i in range(0, len(pairs), batch_size)
    ]


def identity_batches(
    labels: np.ndarray, batch_size: int, photos_per_class: int, rng: np.random.Generator
) -> list[Batch]:
    """Batches of about `batch_size` photos, up to `photos_per_class` of each identity, all pairs of which count.

    Each photo comes once an epoch (Hermans et al. 2017, arXiv:1703.07737, draw P identities x K photos). A batch has
    two identities or more, even if it grows beyond `batch_size` for that: one alone has no negative.
    """
    starts, counts = ranges(labels)
    groups: list[np.ndarray] = []
    moments: list[np.ndarray] = []  # when in the epoch a group comes: those of one identity spread over all of it
    for start, count in zip(starts, counts, strict=True):
        parts = np.array_split(start + rng.permutation(count), -(-count // photos_per_class))
        groups += parts
        moments.append((np.arange(len(parts)) + rng.random(len(parts))) / len(parts))
    batches: list[list[np.ndarray]] = [[]]
    for i in np.argsort(np.concatenate(moments)):
        if sum(map(len, batches[-1])) + len(groups[i]) > batch_size and _identities(batches[-1], labels) > 1:
            batches.append([])
        batches[-1].append(groups[i])
    if len(batches) > 1 and _identities(batches[-1], labels) == 1:
        alone = batches.pop()
        batches[-1] += alone
    return [_all_in(np.concatenate(batch), labels) for batch in batches]


def _identities(groups: list[np.ndarray], labels: np.ndarray) -> int:
    return len({int(labels[group[0]]) for group in groups})


def _all_in(photos: np.ndarray, labels: np.ndarray) -> Batch:
    first, second = np.triu_indices(len(photos), k=1)
    return Batch(photos, Pairs(first, second, labels[photos[first]] == labels[photos[second]]))


def hard_negatives(embeddings: np.ndarray, labels: np.ndarray, pool: int, block: int = 1024) -> np.ndarray:
    """(N, pool) indices of each photo's nearest photos of other identities, nearest first, -1 where there are fewer.

    `embeddings` (N, D) float32 of unit length. `labels` (N,), or (N, K) where photos show several identities: photos
    that share one are no negatives (-1 fills short rows). In blocks of rows: block x N similarities at a time.
    """
    total = len(embeddings)
    shown = labels.reshape(total, -1)
    width = min(pool, total)
    nearest = np.full((total, pool), -1, dtype=np.int64)
    for at in range(0, total, block):
        rows = slice(at, min(at + block, total))
        similarity = embeddings[rows] @ embeddings.T
        for own, other in product(shown[rows].T, shown.T):
            similarity[(own[:, None] == other[None, :]) & (own[:, None] >= 0)] = -np.inf
        top = np.argpartition(-similarity, width - 1, axis=1)[:, :width]
        order = np.argsort(-np.take_along_axis(similarity, top, axis=1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, axis=1)
        top[np.isneginf(np.take_along_axis(similarity, top, axis=1))] = -1
        nearest[rows, :width] = top
    return nearest
