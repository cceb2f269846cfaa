"""All pairs of unit vectors whose cosine reaches a threshold: exactly, block by block, never an N x N matrix.

A block of dot products proposes candidates with a margin that covers its rounding; each candidate is then computed
again from the difference of the two vectors in float64. So neither the block's size, nor the order of the rows, nor
the arithmetic of the block changes the answer. That lets the blocks be multiplied in bfloat16 where the processor
is faster at it: on a Xeon with AMX, 2 threads, 4096 x 4096 x 512 takes 14 ms instead of 104 ms in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.errors import UserError

if TYPE_CHECKING:
    import torch

BLOCK = 4096  # rows a side: 64 MiB of float32 products
MAX_PAIRS = 50_000_000  # 12 bytes each while they are collected, 20 in the result
_LENGTH_TOLERANCE = 1e-3  # as in metrics/unit_vectors.py: vectors stored as float16 pass
_VERIFIED_VALUES = 1 << 23  # of one gathered chunk: 32 MiB of float32


@dataclass
class NearPairs:
    """Pairs of rows: `first` < `second` within one set; row of the one and row of the other set between two.

    `distance` is Euclidean, in [0, 2]; cosine = 1 - distance^2 / 2.
    """

    first: np.ndarray  # (P,) int64
    second: np.ndarray  # (P,) int64
    distance: np.ndarray  # (P,) float32

    def __len__(self) -> int:
        return len(self.first)


def pairs_above(
    vectors: np.ndarray,
    threshold: float,
    block: int = BLOCK,
    max_pairs: int = MAX_PAIRS,
    advance: Callable[[int], Any] = lambda done: None,
) -> NearPairs:
    """Every pair of rows with cosine >= `threshold`, ordered by `first`, then `second`.

    `vectors`: (N, D) float32 of unit length; rows with a NaN match nothing. `advance` gets the rows done since its
    last call. Raises ValueError for rows of another length, and UserError for more than `max_pairs` pairs.
    """
    rows, vectors = finite_rows(vectors)
    proposer = _Proposer(vectors, vectors, threshold)
    found = PairCollector(max_pairs)
    for start in range(0, len(vectors), block):
        for other in range(start, len(vectors), block):
            for first, second in proposer.candidates(start, other, block):
                inside = first < second
                found.add(*verified(vectors, vectors, first[inside], second[inside], threshold))
        advance(min(block, len(vectors) - start))
    return found.result(rows, rows)


def pairs_between(
    queries: np.ndarray,
    archive: np.ndarray,
    threshold: float,
    block: int = BLOCK,
    max_pairs: int = MAX_PAIRS,
    advance: Callable[[int], Any] = lambda done: None,
) -> NearPairs:
    """Every pair of a query (`first`) and an archived row (`second`); otherwise as `pairs_above`."""
    rows, queries = finite_rows(queries, "queries")
    archive_rows, archive = finite_rows(archive, "archive")
    proposer = _Proposer(queries, archive, threshold)
    found = PairCollector(max_pairs)
    for start in range(0, len(queries), block):
        for other in range(0, len(archive), block):
            for first, second in proposer.candidates(start, other, block):
                found.add(*verified(queries, archive, first, second, threshold))
        advance(min(block, len(queries) - start))
    return found.result(rows, archive_rows)


def finite_rows(vectors: np.ndarray, name: str = "vectors") -> tuple[np.ndarray, np.ndarray]:
    """Numbers (M,) int64 of the rows without NaN, and these rows as (M, D) float32; not copied where all are."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise ValueError(f"{name}: expected shape (N, D), got {vectors.shape}")
    squares = np.einsum("nd,nd->n", vectors, vectors)
    finite = ~np.isnan(squares)
    wrong = np.flatnonzero(finite & ~(np.abs(squares - 1) <= 2 * _LENGTH_TOLERANCE))
    if wrong.size:
        raise ValueError(f"{name}: row {wrong[0]} has length {squares[wrong[0]] ** 0.5:.4g}, expected 1")
    rows = np.flatnonzero(finite)
    return rows, vectors if len(rows) == len(vectors) else vectors[rows]


def verified(
    left: np.ndarray, right: np.ndarray, first: np.ndarray, second: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Those of the candidate pairs whose cosine is >= `threshold`, with their Euclidean distance (float64).

    From the difference, not the product: equal vectors have distance 0 and cosine 1, whatever their rounding, and
    the answer is the same with the two sides exchanged.
    """
    squares = np.empty(len(first))
    step = max(1, _VERIFIED_VALUES // left.shape[1])
    for i in range(0, len(first), step):
        difference = left[first[i : i + step]] - right[second[i : i + step]]
        squares[i : i + step] = np.einsum("nd,nd->n", difference, difference, dtype=np.float64)
    near = 1 - squares / 2 >= threshold
    return first[near], second[near], np.sqrt(squares[near])


class PairCollector:
    """Grows by chunks of 12 bytes a pair, up to a limit."""

    def __init__(self, max_pairs: int) -> None:
        self._max_pairs = max_pairs
        self._number = 0
        self._first: list[np.ndarray] = []
        self._second: list[np.ndarray] = []
        self._distance: list[np.ndarray] = []

    def add(self, first: np.ndarray, second: np.ndarray, distance: np.ndarray) -> None:
        if not len(first):
            return
        self._number += len(first)
        if self._number > self._max_pairs:
            raise UserError(
                "set",
                f"so low that more than {self._max_pairs:,} pairs of photos reach it",
                "raise it, or compare with representatives only (`set` semantic.search=clusters)",
                "semantic.threshold",
            )
        self._first.append(first.astype(np.uint32))
        self._second.append(second.astype(np.uint32))
        self._distance.append(distance.astype(np.float32))

    def result(self, first_rows: np.ndarray, second_rows: np.ndarray) -> NearPairs:
        """The pairs, numbered by the rows that their numbers stand for, ordered by both, each once."""
        if not self._number:
            return NearPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
        first = first_rows[_joined(self._first)]
        second = second_rows[_joined(self._second)]
        order = np.lexsort((second, first))
        repeated = (np.diff(first[order]) == 0) & (np.diff(second[order]) == 0)
        order = order[np.append(True, ~repeated)]
        return NearPairs(first[order], second[order], _joined(self._distance)[order])


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


class _Proposer:
    """Candidate pairs of one block: all pairs that reach the threshold, and some that just miss it."""

    def __init__(self, left: np.ndarray, right: np.ndarray, threshold: float) -> None:
        import torch

        from siamclip.device import bf16_gains

        dimension = left.shape[1]
        # cos = ab + 1 - (aa + bb) / 2, where aa and bb are within twice the length tolerance of 1; measured, so
        # that vectors normalised in float32 pay 1e-7 for it and not 2e-3.
        off = max(off_length(left), off_length(right))
        margin = off + dimension * 2.0**-22  # float32: sums of D products, each rounded at 2^-24
        # bfloat16 rounds at 2^-9, each factor and the result, of sums of |a_i b_i| <= 1. Its bits order positive
        # numbers as integers do, which NumPy compares ten times as fast as torch does bfloat16; hence threshold > 0.
        bf16_margin = margin + (2.0**-8 + 2.0**-9) * (1 + off) + 2.0**-16
        self._in_bf16 = threshold - bf16_margin > 0 and bf16_gains(torch.device("cpu"))
        exact = not self._in_bf16 and torch.get_float32_matmul_precision() == "highest"  # else torch may use bf16 too
        self._bound = threshold - (margin if exact else bf16_margin)
        self._left = self._prepared(left)
        self._right = self._left if right is left else self._prepared(right)

    def candidates(self, start: int, other: int, block: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(P,) rows of the left and of the right set, at most some million pairs at a time."""
        import torch

        with torch.inference_mode():
            products = torch.mm(self._left[start : start + block], self._right[other : other + block].T)
        bound: Any = self._bound
        if self._in_bf16:
            values = products.view(torch.int16).numpy()
            bound = _bf16_bits_below(self._bound)
        else:
            values = products.numpy()
        rows = np.flatnonzero(values.max(axis=1) >= bound)
        for i in range(0, len(rows), 1024):
            part = rows[i : i + 1024]
            first, second = np.nonzero(values[part] >= bound)
            yield part[first] + start, second + other

    def _prepared(self, vectors: np.ndarray) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(vectors)
        return tensor.bfloat16() if self._in_bf16 else tensor


def off_length(vectors: np.ndarray) -> float:
    """Largest | |v|^2 - 1 |: by so much may the dot product of two rows and 1 - distance^2 / 2 differ."""
    squares = np.einsum("nd,nd->n", vectors, vectors)
    return float(np.abs(squares - 1).max(initial=0))


def _bf16_bits_below(value: float) -> np.int16:
    """Bits of the largest bfloat16 <= a positive value."""
    return np.int16(np.float32(value).view(np.int32) >> 16)
