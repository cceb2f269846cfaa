"""Compiled loops of the search among hashes; hash_search.py says how they are put together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from siamclip.compiled import compiled

_RUN = 256  # values that are compared in one vector loop before any of them is looked at: 0.3 ns each, 0.8 with 64
_TILE = 2048  # values of the flat scan that stay in the first-level cache (16 KB) while many rows pass


def _popcount(typing_context: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


# Number of set bits of a uint64, uint64; the processor's own instruction. For compiled code only.
popcount: Any = intrinsic(_popcount)


@compiled
def fold(hashes: np.ndarray, words: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rearrange bits by table: the permuted hashes (N, W) uint64 and their blocks (N, M) uint32.

    `hashes`: (N, 8W) uint8; `words`: (8W, 256, W) uint64 and `blocks`: (8W, 256, M) uint32 hold what each value of
    each byte contributes.
    """
    number, length = hashes.shape
    folded = np.zeros((number, words.shape[2]), np.uint64)
    fields = np.zeros((number, blocks.shape[2]), np.uint32)
    for i in range(number):
        for position in range(length):
            value = hashes[i, position]
            for w in range(folded.shape[1]):
                folded[i, w] ^= words[position, value, w]
            for b in range(fields.shape[1]):
                fields[i, b] ^= blocks[position, value, b]
    return folded, fields


@compiled
def bucket_of(fields: np.ndarray, chosen: np.ndarray, bits: int) -> np.ndarray:
    """(N,) uint32 below 2^bits, equal for rows that agree in all `chosen` blocks (and for few others)."""
    buckets = np.empty(len(fields), np.uint32)
    down = np.uint64(64 - bits)
    for i in range(len(fields)):
        key = np.uint64(0)
        for c in chosen:
            key = (key ^ np.uint64(fields[i, c])) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
            key ^= key >> np.uint64(32)
        buckets[i] = (key * np.uint64(0x9E3779B97F4A7C15)) >> down
    return buckets


@compiled
def _distance(words: np.ndarray, i: int, j: int, already: int, threshold: int) -> int:
    """Hamming distance of rows i and j whose first words differ by `already`; stops above the threshold."""
    distance = already
    for w in range(1, words.shape[1]):
        if distance > threshold:
            break
        distance += np.int64(popcount(words[i, w] ^ words[j, w]))
    return distance


@compiled
def _is_first_agreement(
    words: np.ndarray, i: int, j: int, difference: np.uint64, masks: np.ndarray, chosen: np.ndarray
) -> bool:
    """Whether `chosen` are the first blocks in which rows i and j agree: so each pair comes out once.

    `difference`: of their first words; `masks`: (M, W) uint64, the bits of each block.
    """
    found = 0
    for b in range(len(masks)):
        rest = difference & masks[b, 0]
        for w in range(1, words.shape[1]):
            rest |= (words[i, w] ^ words[j, w]) & masks[b, w]
        if rest == np.uint64(0):
            if chosen[found] != b:
                return False
            found += 1
            if found == len(chosen):
                return True
    return False


@compiled
def _grown(array: np.ndarray) -> np.ndarray:
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@compiled
def _none_near(value: np.uint64, heads: np.ndarray, start: int, stop: int, threshold: int) -> bool:
    near = np.uint64(0)
    limit = np.uint64(threshold)
    for q in range(start, stop):  # a signed index might be negative to Numba, which costs the vector instructions
        near += np.uint64(popcount(value ^ heads[np.uint64(q)]) <= limit)
    return near == np.uint64(0)


@compiled
def _partitioned(
    words: np.ndarray, fields: np.ndarray, chosen: np.ndarray, high: int, low: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows in 2^high partitions, in their order within each: bounds (2^high + 1,), rows, first words, low bits.

    Sorting straight into 2^(high + low) buckets would miss the cache at every row: 118 ns a row instead of 77.
    """
    buckets = bucket_of(fields, chosen, high + low)
    bounds = np.zeros((1 << high) + 1, np.int64)
    for bucket in buckets:
        bounds[(bucket >> np.uint32(low)) + np.uint32(1)] += 1
    for part in range(1 << high):
        bounds[part + 1] += bounds[part]
    rows = np.empty(len(words), np.int32)
    heads = np.empty(len(words), np.uint64)
    lows = np.empty(len(words), np.uint32)
    following = bounds[:-1].copy()
    mask = np.uint32((1 << low) - 1)
    for i in range(len(words)):
        part = buckets[i] >> np.uint32(low)
        at = following[part]
        following[part] = at + 1
        rows[at] = i
        heads[at] = words[i, 0]
        lows[at] = buckets[i] & mask
    return bounds, rows, heads, lows


@compiled
def _sorted_part(
    lows: np.ndarray, rows: np.ndarray, heads: np.ndarray, ends: np.ndarray, into: np.ndarray, heads_into: np.ndarray
) -> None:
    """Counting sort of one partition by its low bits, stable; `ends` becomes where each bucket ends."""
    ends[:] = 0
    for low in lows:
        ends[low + np.uint32(1)] += 1
    for b in range(1, len(ends)):
        ends[b] += ends[b - 1]
    for i in range(len(lows)):
        at = ends[lows[i]]
        ends[lows[i]] = at + 1  # ends[b] starts as where bucket b begins
        into[at] = rows[i]
        heads_into[at] = heads[i]


@compiled
def bucket_pairs(
    words: np.ndarray,
    fields: np.ndarray,
    masks: np.ndarray,
    chosen: np.ndarray,
    bits: int,
    boundary: int,
    threshold: int,
    room: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs within the threshold whose first agreement is `chosen`: first, second int32 and distance uint8, (P,).

    Rows are sorted into 2^bits buckets by their chosen blocks and compared within each. With `boundary` > 0 only
    rows below it are compared with rows from it on; else all with all. Stops soon after more than `room` pairs.
    """
    limit = np.uint64(threshold)
    low = bits // 2 + 1
    bounds, all_rows, all_heads, lows = _partitioned(words, fields, chosen, bits - low, low)
    largest = (bounds[1:] - bounds[:-1]).max()
    rows, heads = np.empty(largest, np.int32), np.empty(largest, np.uint64)
    ends = np.empty((1 << low) + 1, np.int32)
    first, second = np.empty(1024, np.int32), np.empty(1024, np.int32)
    distance = np.empty(1024, np.uint8)
    count = 0
    for part in range(len(bounds) - 1):
        a, b = bounds[part], bounds[part + 1]
        if b - a < 2:
            continue
        _sorted_part(lows[a:b], all_rows[a:b], all_heads[a:b], ends, rows, heads)
        start = 0
        for stop in ends[:-1]:
            right = start  # of the rows from the boundary on, the first
            while boundary > 0 and right < stop and rows[right] < boundary:
                right += 1
            for p in range(start, right if boundary > 0 else stop - 1):
                q = right if boundary > 0 else p + 1
                while q < stop:
                    end = min(q + _RUN, stop)
                    if _none_near(heads[p], heads, q, end, threshold):
                        q = end
                        continue
                    for r in range(q, end):
                        difference = heads[p] ^ heads[np.uint64(r)]
                        if popcount(difference) > limit:
                            continue
                        i, j = rows[p], rows[r]
                        near = _distance(words, i, j, np.int64(popcount(difference)), threshold)
                        if near <= threshold and _is_first_agreement(words, i, j, difference, masks, chosen):
                            if count == len(first):
                                first, second, distance = _grown(first), _grown(second), _grown(distance)
                            first[count], second[count], distance[count] = i, j, near
                            count += 1
                    q = end
                if count > room:
                    return first[:count], second[:count], distance[:count]
            start = stop
    return first[:count], second[:count], distance[:count]


@compiled
def flat_pairs(
    words: np.ndarray, heads: np.ndarray, start: int, stop: int, boundary: int, threshold: int, room: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`bucket_pairs` without buckets: rows start <= i < stop against every later row (from the boundary on)."""
    first, second = np.empty(1024, np.int32), np.empty(1024, np.int32)
    distance = np.empty(1024, np.uint8)
    count = 0
    for tile in range(boundary if boundary > 0 else start + 1, len(words), _TILE):
        last = min(tile + _TILE, len(words))
        for i in range(start, stop):
            q = max(tile, i + 1)
            while q < last:
                end = min(q + _RUN, last)
                if _none_near(heads[i], heads, q, end, threshold):
                    q = end
                    continue
                for j in range(q, end):
                    near = np.int64(popcount(heads[i] ^ heads[np.uint64(j)]))
                    if near > threshold:
                        continue
                    near = _distance(words, i, j, near, threshold)
                    if near <= threshold:
                        if count == len(first):
                            first, second, distance = _grown(first), _grown(second), _grown(distance)
                        first[count], second[count], distance[count] = i, j, near
                        count += 1
                q = end
            if count > room:
                return first[:count], second[:count], distance[:count]
    return first[:count], second[:count], distance[:count]
