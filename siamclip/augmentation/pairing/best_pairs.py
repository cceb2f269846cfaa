"""The pairs of a band in order, best first, a slice at a time: exactly, in memory that does not grow with the pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from siamclip.augmentation.pairing import pair_kernels
from siamclip.augmentation.pairing.similarity_histogram import SimilarityHistogram, products, rounding_margin

SLICE = 1 << 20  # pairs: 16 bytes each, twice while they are collected
FIRST_SLICE = 1 << 16  # most runs want some hundred pairs

# A place in the order of the pairs: by falling cosine, then by rising numbers of the first and the second row.
Place = pair_kernels.Key
_NO_ROW = np.iinfo(np.int64).max
_LAST: Place = (-math.inf, _NO_ROW, _NO_ROW)


class BestPairs:
    """Hands out the pairs of the histogram's band, slice by slice, best first.

    `vectors`: (N, D) float32 in the order in which ties are broken; `groups`: rows that are compared with each other.
    """

    def __init__(
        self,
        vectors: np.ndarray,
        groups: Sequence[np.ndarray],
        histogram: SimilarityHistogram,
        block: int,
        slice_pairs: int = SLICE,
    ) -> None:
        self._vectors, self._groups, self._histogram, self._block = vectors, groups, histogram, block
        self._most = slice_pairs
        self._target = min(FIRST_SLICE, slice_pairs)
        self._place: Place = (histogram.ceiling, -1, -1)
        self._margin = rounding_margin(vectors.shape[1])
        self.is_exhausted = False

    def next_slice(self, live: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cosines (P,) float64 and row numbers (P,), (P,) int32 of the next pairs of live rows ((N,) bool), in order.

        `is_exhausted` tells after it whether the band's end was reached. A slice may be empty before that.
        """
        low = self._lower_bound()
        # A pair can only be as good as the better known of its rows' nearest: most rows need not be looked at.
        wanted = live & (self._histogram.nearest >= low - self._margin)
        similarity, first, second, is_cut = self._collected(wanted, low)
        if is_cut:
            self._place = (float(similarity[-1]), int(first[-1]), int(second[-1]))
            self._target = self._most
        else:
            self._place = (low, _NO_ROW, _NO_ROW)
            self.is_exhausted = low <= self._histogram.threshold
            self._target *= 8  # the histogram also counts pairs of rows that are no longer live
        return similarity, first, second

    def _lower_bound(self) -> float:
        """Down to it, from the place reached, the histogram has as many pairs as a slice should have."""
        edges, counts = self._histogram.edges, self._histogram.counts
        k = max(int(np.searchsorted(edges, self._place[0], "left")) - 1, 0)  # the edge just below
        enough = np.flatnonzero(np.cumsum(counts[k::-1]) >= self._target)
        edge = edges[k - enough[0]] if len(enough) else -1.0
        return max(float(edge), self._histogram.threshold)

    def _collected(self, wanted: np.ndarray, low: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """The best pairs from the place on, at most a slice; the last is whether there were more down to `low`."""
        size = self._most + max(self._block, self._most)
        similarity, first, second = np.empty(size), np.empty(size, np.int32), np.empty(size, np.int32)
        buffers = pair_kernels.Collected(similarity, first, second)
        between = pair_kernels.Between(low, self._place, _LAST, self._margin)
        found, is_cut = 0, False
        for group in self._groups:
            for part in products(self._vectors, group[wanted[group]], self._block):
                row = 0
                while row < len(part.first):
                    row, found = pair_kernels.collect(part, self._vectors, row, between, buffers, found)
                    if found + self._block > size:
                        order = _order(similarity[:found], first[:found], second[:found])[: self._most]
                        for values in (similarity, first, second):
                            values[: len(order)] = values[order]
                        is_cut, found = True, len(order)
                        last = float(similarity[found - 1]), int(first[found - 1]), int(second[found - 1])
                        between = between._replace(worst=last)
        order = _order(similarity[:found], first[:found], second[:found])
        is_cut |= found > self._most
        order = order[: self._most]
        return similarity[order], first[order], second[order], is_cut


def _order(similarity: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.lexsort((second, first, -similarity))
