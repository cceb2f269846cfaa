"""Machine code for the pairs of a block: their exact cosine, counting them, collecting the best, choosing among them.

A block is (n, m) float32 dot products, corrected to be cosines up to `rounding_margin` of similarity_histogram.py;
`first` (n,) and `second` (m,) are the numbers of its rows. Of a diagonal block only the upper half counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from siamclip.compiled import compiled

UNCERTAIN = -1  # a place that has to be computed exactly
Key = tuple[float, int, int]  # of a pair in the order: its cosine, the numbers of its rows


class Block(NamedTuple):
    """Cosines in float32 of rows `first` against rows `second`; of a diagonal block the upper half counts."""

    values: np.ndarray  # (n, m) float32
    first: np.ndarray  # (n,) int64
    second: np.ndarray  # (m,) int64
    is_diagonal: bool


class Cuts(NamedTuple):
    """The thresholds (rising) and the ceiling between which pairs are counted."""

    thresholds: np.ndarray  # (T,) float64
    ceiling: float
    places: np.ndarray  # (bins,) int64: number of thresholds that a bin's pairs reach, T + 1 beyond the ceiling
    margin: float  # by which a block's values may be off


class Tally(NamedTuple):
    """What `count` adds to."""

    bins: np.ndarray  # (bins,) int64 pairs
    pairs: np.ndarray  # (T + 2,) int64: below every threshold, from each to the next, beyond the ceiling
    reached: np.ndarray  # (N,) int64 thresholds that the row's nearest up to the ceiling reaches
    nearest: np.ndarray  # (N,) float32 cosine of the row's nearest up to the ceiling
    highest_above: np.ndarray  # (1,) float32 highest cosine beyond the ceiling


class Between(NamedTuple):
    """Which pairs `collect` takes: cosine >= `low`, after `best` and before `worst` in the order."""

    low: float
    best: Key
    worst: Key
    margin: float  # by which a block's values may be off


class Collected(NamedTuple):
    """Buffers for pairs, all (K,)."""

    similarity: np.ndarray  # float64
    first: np.ndarray  # int32, the smaller row number
    second: np.ndarray  # int32


@compiled
def cosine(vectors: np.ndarray, i: int, j: int) -> float:
    """1 - |a - b|^2 / 2 in float64: the same for both orders of the pair, exactly 1 for equal rows, at least -1.

    As `cleaning.duplicates.cosine_search.verified`, but without copying the rows. The sum runs from the first value to
    the last, in every caller: a sum in lanes would be faster, but might be rounded one way here and another there.
    """
    left, right = vectors[i], vectors[j]
    total = 0.0
    for d in range(left.shape[0]):
        difference = np.float64(left[d] - right[d])
        total += difference * difference
    return max(1 - total / 2, -1.0)


@compiled
def count(block: Block, vectors: np.ndarray, cuts: Cuts, tally: Tally) -> None:
    """Add one block to a similarity histogram."""
    values, first, second, is_diagonal = block
    thresholds, ceiling, places, margin = cuts
    counts, pairs, reached, nearest, highest_above = tally
    beyond = len(thresholds) + 1
    bins = len(counts)
    for i in range(values.shape[0]):
        row = first[i]
        for j in range(i + 1 if is_diagonal else 0, values.shape[1]):
            value = values[i, j]
            b = min(max(int((value + np.float32(1)) * np.float32(bins / 2)), 0), bins - 1)
            counts[b] += 1
            place = places[b]
            if place == UNCERTAIN:
                exact = np.float64(value)
                place = np.searchsorted(thresholds, exact - margin, "right")
                if place != np.searchsorted(thresholds, exact + margin, "right") or abs(exact - ceiling) <= margin:
                    exact = cosine(vectors, row, second[j])
                    place = np.searchsorted(thresholds, exact, "right")
                    value = np.float32(exact)
                if exact > ceiling:
                    place = beyond
            pairs[place] += 1
            if place == beyond:
                highest_above[0] = max(highest_above[0], value)
                continue
            column = second[j]
            reached[row] = max(reached[row], place)
            reached[column] = max(reached[column], place)
            nearest[row] = max(nearest[row], value)
            nearest[column] = max(nearest[column], value)


@compiled
def collect(
    block: Block, vectors: np.ndarray, start: int, between: Between, buffers: Collected, found: int
) -> tuple[int, int]:
    """Append the block's pairs that lie between, from its row `start` on, to the `found` ones in the buffers.

    The order is by falling cosine, then by the numbers of the two rows, smaller one first. Returns the row to go on
    with, before which the buffers had no room for a whole row, and the pairs in them.
    """
    values, first, second, is_diagonal = block
    low, best, worst, margin = between
    similarity, left, right = buffers
    least = np.float32(max(low, worst[0]) - margin)
    most = np.float32(best[0] + margin)
    for i in range(start, values.shape[0]):
        if found + values.shape[1] > len(similarity):
            return i, found
        for j in range(i + 1 if is_diagonal else 0, values.shape[1]):
            value = values[i, j]
            if value < least or value > most:
                continue
            exact = cosine(vectors, first[i], second[j])
            if exact < low:
                continue
            a, b = min(first[i], second[j]), max(first[i], second[j])
            if _precedes(best, exact, a, b) and not _precedes(worst, exact, a, b):
                similarity[found], left[found], right[found] = exact, a, b
                found += 1
    return values.shape[0], found


@compiled
def _precedes(key: Key, similarity: float, a: int, b: int) -> bool:
    """Whether `key` stands before the pair in the order of falling cosine, then rising row numbers."""
    if key[0] != similarity:
        return key[0] > similarity
    return key[1] < a or (key[1] == a and key[2] < b)


@compiled
def greedy(left: np.ndarray, right: np.ndarray, uses: np.ndarray, max_uses: int, wanted: int) -> np.ndarray:
    """Numbers of at most `wanted` pairs, in order, with neither row in more than `max_uses`; `uses` is updated."""
    chosen = np.empty(min(wanted, len(left)), np.int64)
    number = 0
    for k in range(len(left)):
        if number == len(chosen):
            break
        a, b = left[k], right[k]
        if uses[a] < max_uses and uses[b] < max_uses:
            uses[a] += 1
            uses[b] += 1
            chosen[number] = k
            number += 1
    return chosen[:number]
