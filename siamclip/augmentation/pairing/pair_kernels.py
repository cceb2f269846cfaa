"""Machine code for the pairs of a block: their exact cosine, counting them, collecting the best, choosing among them.

A block is (n, m) float32 dot products, corrected to be cosines up to `rounding_margin` of similarity_histogram.py;
`first` (n,) and `second` (m,) are the numbers of its rows. Of a diagonal block only the upper half counts.
"""

from __future__ import annotations

import numpy as np

from siamclip.compiled import compiled

UNCERTAIN = -1  # a place that has to be computed exactly


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
def count(
    values: np.ndarray, vectors: np.ndarray, first: np.ndarray, second: np.ndarray, is_diagonal: bool, margin: float,
    places: np.ndarray, cuts: np.ndarray, ceiling: float, counts: np.ndarray, pairs: np.ndarray,
    reached: np.ndarray, nearest: np.ndarray, highest_above: np.ndarray,
) -> None:  # fmt: skip
    """Add one block to the counts of a similarity histogram.

    `places`: bin -> number of `cuts` that its pairs reach, one more beyond the ceiling, or UNCERTAIN.
    """
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
                exact = np.float64(value)
                place = np.searchsorted(cuts, exact - margin, "right")
                if place != np.searchsorted(cuts, exact + margin, "right") or abs(exact - ceiling) <= margin:
                    exact = cosine(vectors, row, second[j])
                    place = np.searchsorted(cuts, exact, "right")
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
