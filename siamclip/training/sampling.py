"""The batches of an epoch, drawn from labels alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from siamclip.data.pairs import Pairs, draw_negative, number_of_positives, ranges

# Pairs that share an anchor photo, and stay together in a batch. A batch encodes each photo once, so four pairs
# cost five encodings instead of eight; more would let a batch see too few identities.
PAIRS_AN_ANCHOR = 4


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
    positives = number_of_positives(samples, positive_ratio) if count > 1 else 0
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
            other = others[i % len(others)] if is_same else draw_negative(anchor, start, count, total, rng, neighbours)
            run.append((int(anchor), int(other), int(is_same)))
        yield run


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
