"""Which photos are fused: pairs alike enough, but no near-duplicates, the most alike first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from siamclip.augmentation.contracts import FusionPair
from siamclip.augmentation.pairing import pair_kernels
from siamclip.augmentation.pairing.best_pairs import SLICE, BestPairs
from siamclip.augmentation.pairing.similarity_histogram import (
    BLOCK,
    SimilarityHistogram,
    rounding_margin,
    similarity_histogram,
)
from siamclip.cleaning.duplicates.cosine.cosine_search import finite_rows
from siamclip.data.collection import Collection
from siamclip.errors import UserError


@dataclass(frozen=True)
class PairLimits:
    """Which pairs may be chosen. Raises UserError where no pair can lie between threshold and ceiling."""

    threshold: float  # smallest cosine of the embeddings ...
    ceiling: float  # ... and the largest: near-duplicates are not worth fusing
    max_pairs: int
    max_uses: int  # of each photo
    across_classes: bool = False  # photos of different identities too

    def __post_init__(self) -> None:
        if not self.threshold < self.ceiling:
            problem = f"must lie below `similarity_ceiling` {self.ceiling:g}"
            raise UserError("similarity_threshold", problem, "no pair can lie between", f"{self.threshold:g}")


@dataclass(frozen=True)
class ChosenPairs:
    """Pairs to fuse, best first, and how alike all photos are."""

    pairs: list[FusionPair]
    histogram: SimilarityHistogram


def choose_pairs(
    embeddings: np.ndarray,
    collection: Collection,
    limits: PairLimits,
    *,
    block: int = BLOCK,
    slice_pairs: int = SLICE,
    advance: Callable[[int], Any] = lambda done: None,
) -> ChosenPairs:
    """Best first, each pair within the limits while neither photo is in `max_uses` pairs yet.

    `embeddings`: (N, D) float32 of unit length; rows with a NaN, photos that cannot be read, match nothing. Of
    equally alike pairs the smaller paths come first. `advance` gets the photos compared since its last call.

    Neither `block` (rows multiplied at once), nor `slice_pairs` (held at once), nor the order of the rows changes the
    answer. Raises UserError where there is no pair to choose, ValueError for arrays that do not fit.
    """
    paths, labels = collection.paths, collection.labels
    if not len(embeddings) == len(paths) == len(labels):
        raise ValueError(f"{len(embeddings)} embeddings, {len(paths)} paths and {len(labels)} labels")
    # Rows by path: then ties, and so the answer, know no other order.
    order = np.array(sorted(range(len(paths)), key=paths.__getitem__), dtype=np.int64)
    if any(paths[a] == paths[b] for a, b in itertools.pairwise(order)):
        raise ValueError("a path stands there twice")
    readable, vectors = finite_rows(np.asarray(embeddings)[order], "embeddings")
    rows = order[readable]
    advance(len(paths) - len(rows))
    groups = [np.arange(len(rows))] if limits.across_classes else _by_identity(labels[rows])
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        raise _nothing_to_compare(len(rows), limits.across_classes)
    advance(len(rows) - sum(map(len, groups)))
    histogram = similarity_histogram(vectors, groups, limits.threshold, limits.ceiling, block, advance)
    if not histogram.band.pairs:
        raise _empty_band(histogram, vectors, groups, block)

    uses = np.zeros(len(rows), np.int64)
    pairs: list[FusionPair] = []
    best = BestPairs(vectors, groups, histogram, block, slice_pairs)
    while len(pairs) < limits.max_pairs and not best.is_exhausted:
        similarity, first, second = best.next_slice(uses < limits.max_uses)
        for k in pair_kernels.greedy(first, second, uses, limits.max_uses, limits.max_pairs - len(pairs)):
            pairs.append(FusionPair(paths[rows[first[k]]], paths[rows[second[k]]], float(similarity[k])))
    return ChosenPairs(pairs, histogram)


def _by_identity(labels: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each identity, rising."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


# -- what the user is told ----------------------------------------------------------------------------------------


def _nothing_to_compare(readable: int, across_classes: bool) -> UserError:
    if readable < 2:
        return UserError("input_dir", f"{readable} photos could be read", "a pair needs two")
    if across_classes:
        raise AssertionError("two readable photos are a group")
    problem = f"none of its folders has two photos that could be read ({readable:,} in all)"
    return UserError("input_dir", problem, "`across_classes` pairs photos of different folders")


def _empty_band(
    histogram: SimilarityHistogram, vectors: np.ndarray, groups: Sequence[np.ndarray], block: int
) -> UserError:
    """What the collection does have, and which settings would give pairs."""
    problem = f"no pair of photos has a similarity in [{histogram.threshold:g}, {histogram.ceiling:g}]"
    remedies = []
    if not math.isnan(histogram.highest_below):
        # Rounded down, so that the pair that was found reaches it, and counted as it would be.
        lower = math.floor(100 * (histogram.highest_below - rounding_margin(vectors.shape[1]))) / 100
        lower = max(lower, -1.0)
        number = similarity_histogram(vectors, groups, lower, histogram.ceiling, block).band.pairs
        remedies.append(
            f"the highest below is {histogram.highest_below:.4f}: `similarity_threshold` {lower:g} would give "
            f"{number:,} pair{'s' * (number != 1)} to choose from"
        )
    if histogram.above:
        remedies.append(
            f"{histogram.above:,} lie above the ceiling, up to {histogram.highest_above:.4f}: near-duplicates, which "
            "`similarity_ceiling` 1 would give"
        )
    return UserError("", problem, "; ".join(remedies))
