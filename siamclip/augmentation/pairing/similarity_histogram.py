"""How alike the photos of a collection are: a histogram of all cosines, and what each threshold would give.

Everybody asks which threshold; the answer is counted here, over all pairs, block by block and never as an N x N
matrix. A block of float32 dot products tells nearly every pair's place; a pair that lies closer to a threshold than
float32 rounds is computed again from the difference of its vectors in float64. So the numbers of pairs and photos are
exact, whatever the block's size and the order of the rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from siamclip.augmentation.pairing import pair_kernels
from siamclip.augmentation.pairing.pair_kernels import UNCERTAIN, Block, Cuts, Tally

BINS = 4000  # of 0.0005: fine enough to cut slices of pairs by; a plot adds neighbours up
BLOCK = 2048  # rows a side: 16 MiB of float32 products
THRESHOLDS = tuple(k / 20 for k in range(10, 20))  # 0.50, 0.55 ... 0.95


@dataclass(frozen=True)
class ThresholdRow:
    """What one threshold would give, before the limits on pairs and on uses of a photo."""

    threshold: float
    pairs: int  # with a cosine in [threshold, ceiling]
    photos: int  # in at least one of these pairs
    chosen: bool  # the threshold of the run


@dataclass(frozen=True, eq=False)
class SimilarityHistogram:
    """All pairs that were compared: those within an identity, or all of them across identities."""

    edges: np.ndarray  # (BINS + 1,) float64 from -1 to 1
    counts: np.ndarray  # (BINS,) int64 pairs; one within float32 rounding of an edge may be counted beside it
    highest_below: float  # cosine of the most alike pair up to the ceiling, to float32 rounding; NaN without one
    highest_above: float  # ... and beyond the ceiling
    above: int  # pairs beyond the ceiling
    threshold: float
    ceiling: float
    rows: tuple[ThresholdRow, ...]  # ascending thresholds
    nearest: np.ndarray  # (N,) float32 highest cosine of each row up to the ceiling, to rounding; -inf without one

    @property
    def pairs(self) -> int:
        return int(self.counts.sum())

    @property
    def band(self) -> ThresholdRow:
        """The row of the chosen threshold."""
        return next(row for row in self.rows if row.chosen)

    def table(self) -> list[ThresholdRow]:
        """How many pairs would each threshold give: 0.50 to 0.95 as far as below the ceiling, and the chosen one."""
        return list(self.rows)


def similarity_histogram(
    vectors: np.ndarray,
    groups: Sequence[np.ndarray],
    threshold: float,
    ceiling: float,
    block: int = BLOCK,
    advance: Callable[[int], Any] = lambda done: None,
) -> SimilarityHistogram:
    """Count the pairs within each group of rows.

    `vectors`: (N, D) float32 of unit length, no NaN; `groups`: (n,) row numbers each, no row in two of them;
    `threshold` < `ceiling`. `advance` gets the rows done since its last call.
    """
    thresholds = sorted({threshold, *(t for t in THRESHOLDS if t < ceiling)})
    margin, values = rounding_margin(vectors.shape[1]), np.array(thresholds)
    cuts = Cuts(values, float(ceiling), _places(values, ceiling, margin), margin)
    tally = Tally(
        bins=np.zeros(BINS, np.int64),
        pairs=np.zeros(len(thresholds) + 2, np.int64),
        reached=np.zeros(len(vectors), np.int64),
        nearest=np.full(len(vectors), -np.inf, np.float32),
        highest_above=np.full(1, -np.inf, np.float32),
    )
    for rows in groups:
        for part in products(vectors, rows, block):
            pair_kernels.count(part, vectors, cuts, tally)
            if part.is_diagonal:
                advance(len(part.first))
    in_band = np.cumsum(tally.pairs[1:-1][::-1])[::-1]
    table = tuple(
        ThresholdRow(t, int(in_band[i]), int((tally.reached > i).sum()), t == threshold)
        for i, t in enumerate(thresholds)
    )
    return SimilarityHistogram(
        edges=np.linspace(-1, 1, BINS + 1),
        counts=tally.bins,
        highest_below=_or_nan(tally.nearest.max(initial=-np.inf)),
        highest_above=_or_nan(tally.highest_above[0]),
        above=int(tally.pairs[-1]),
        threshold=threshold,
        ceiling=ceiling,
        rows=table,
        nearest=tally.nearest,
    )


def products(vectors: np.ndarray, rows: np.ndarray, block: int) -> Iterator[Block]:
    """All pairs of `rows`, each in one block. `values` is overwritten by the next block."""
    if len(rows) < 2:
        return
    first = vectors[rows] if len(rows) <= block else None
    for start in range(0, len(rows), block):
        left = vectors[rows[start : start + block]] if first is None else first
        # 1 - |a - b|^2 / 2 = ab + (1 - aa) / 2 + (1 - bb) / 2: vectors stored in half precision are not quite as long
        # as 1.
        left_off = ((1 - np.einsum("nd,nd->n", left, left, dtype=np.float64)) / 2).astype(np.float32)
        for other in range(start, len(rows), block):
            right, right_off = left, left_off
            if other != start:
                right = vectors[rows[other : other + block]]
                right_off = ((1 - np.einsum("nd,nd->n", right, right, dtype=np.float64)) / 2).astype(np.float32)
            values = left @ right.T
            values += left_off[:, None]
            values += right_off
            yield Block(values, rows[start : start + block], rows[other : other + block], other == start)


def rounding_margin(dimension: int) -> float:
    """By how much a value of `products` and `cosine` may differ.

    A sum of D float32 products of unit vectors is off by at most D 2^-24 (Higham 2002, Accuracy and Stability of
    Numerical Algorithms, eq. 3.5); the float32 difference that `cosine` squares adds up to 2^-22, the two terms that
    make up for the lengths 2^-23. Twice all that.
    """
    return (dimension + 8) * 2.0**-23


def _places(cuts: np.ndarray, ceiling: float, margin: float) -> np.ndarray:
    """For each bin: how many thresholds a pair in it reaches; UNCERTAIN where a threshold lies within the margin."""
    edges = np.linspace(-1, 1, BINS + 1)
    low, high = edges[:-1] - 2 * margin, edges[1:] + 2 * margin  # the bin's number is itself rounded
    low[0], high[-1] = -np.inf, np.inf  # they also take what rounding puts beyond -1 and 1
    places = np.searchsorted(cuts, low, "right")
    places[places != np.searchsorted(cuts, high, "right")] = UNCERTAIN
    places[low > ceiling] = len(cuts) + 1
    places[(low <= ceiling) & (ceiling <= high)] = UNCERTAIN
    return places.astype(np.int64)


def _or_nan(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan
