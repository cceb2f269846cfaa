"""Machine code for the pairs of a block: their exact cosine, counting them, collecting the best, choosing among them.

A block is (n, m) float32 dot products, corrected to be cosines up to `survey.rounding_margin`; `first` (n,) and
`second` (m,) are the numbers of its rows. Of a diagonal block only the upper half counts.
"""

from __future__ import annotations

import numpy as np

from siamclip.cleaning.compiled import compiled

UNCERTAIN = -1  # a place that has to be computed exactly


@compiled
def cosine(vectors: np.ndarray, i: int, j: int) -> float:
    """1 - |a - b|^2 / 2 in float64, in one order of summation: the same for both orders of the pair, 1 for equal rows.

    As `cleaning.duplicates.cosine_search.verified`, without copying the rows. At least -1.
    """
    left, right = vectors[i], vectors[j]
    sums = np.zeros(8)
    whole = left.shape[0] // 8 * 8
    for d in range(0, whole, 8):
        for lane in range(8):
            difference = np.float64(left[d + lane] - right[d + lane])
            sums[lane] += difference * difference
    for d in range(whole, left.shape[0]):
        difference = np.float64(left[d] - right[d])
        sums[0] += difference * difference
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    return max(1 - total / 2, -1.0)


@compiled
def count(
    values: np.ndarray, vectors: np.ndarray, first: np.ndarray, second: np.ndarray, is_diagonal: bool,
    places: np.ndarray, cuts: np.ndarray, ceiling: float, counts: np.ndarray, pairs: np.ndarray,
    reached: np.ndarray, nearest: np.ndarray, highest_above: np.ndarray,
) -> None:  # fmt: skip
    """Add one block. `places`: bin -> number of thresholds reached, one more beyond the ceiling, or UNCERTAIN."""
    beyond = len(cuts) + 1
    bins = len(counts)
    for i in range(values.shape[0]):
        row = first[i]
        for j in range(i + 1 if is_diagonal else 0, values.shape[1]):
            value = values[i, j]
            b = min(max(int((value + np.float32(1)) * np.float32(bins / 2)), 0), bins - 1)
            counts[b] += 1
            place = places[b]
            if place == UNCERTAIN:
                exact = cosine(vectors, row, second[j])
                place = beyond if exact > ceiling else np.searchsorted(cuts, exact, "right")
                value = np.float32(exact)
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
    values: np.ndarray, vectors: np.ndarray, first: np.ndarray, second: np.ndarray, is_diagonal: bool, start: int,
    margin: float, low: float, best: tuple[float, int, int], worst: tuple[float, int, int],
    similarity: np.ndarray, left: np.ndarray, right: np.ndarray, found: int,
) -> tuple[int, int]:  # fmt: skip
    """Append the block's pairs from its row `start` on: cosine >= `low`, after `best` and before `worst`.

    The order is by falling cosine, then by the numbers of the two rows, smaller one first. Returns the row to go on
    with, before which the buffers `similarity`, `left`, `right` had no room for a whole row, and the pairs in them.
    """
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
def _precedes(key: tuple[float, int, int], similarity: float, a: int, b: int) -> bool:
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
