"""Pairs to ask about, drawn from the whole range of a method's distance, and how many pairs there are in each part.

The population: pairs of readable photos of different bytes (the same bytes need no answer), within `max_distance`, not
both of an archive. It is cut into bins by distance, and from each bin pairs are drawn at random, about as many from
each: a plain random sample would hold different pairs almost only. So estimates weigh each bin by its pairs.

Up to _ALL_PAIRS pairs of photos all are looked at, and the bins are counted. Beyond that, photos drawn at random are
compared with all others, which gives each pair the same chance, and the numbers of the bins are estimates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.duplicates.perceptual import FLAT
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError

_ALL_PAIRS = 400_000_000  # about 4 seconds for hashes of 64 bits on one core, 20 for embeddings
_BLOCK = 8_000_000  # distances at once
_SLOTS = 128  # parts of a continuous range, of which the bins are made
BINS = 12


@dataclass(frozen=True)
class Measure:
    """How a method tells distance: `kind` "hash" (N, W) uint64, Hamming; or "vector" (N, D) float32, Euclidean."""

    kind: str
    values: np.ndarray
    rows: np.ndarray  # (N,) int64: the photo of each value


@dataclass(frozen=True)
class Sample:
    """`upper`: (B,) float64 ascending, the largest distance of each bin; `population`: (B,) pairs in each.

    first, second, distance, bin: (P,) the drawn pairs, rows of the photos, in an order drawn at random.
    """

    upper: np.ndarray
    population: np.ndarray
    max_distance: float
    counted: bool  # False: `population` is estimated from `asked` of `photos` photos
    photos: int
    asked: int
    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    bin: np.ndarray


def check_has_distance(method: str) -> None:
    """Raises UserError for a method without a distance between photos."""
    known = [
        name
        for name, row in METHODS.items()
        if row.family == "duplicates" and {"embedding", "perceptual", "perceptual16"} & set(row.needs)
    ]
    if method not in known:
        raise UserError("method", "has no distance to calibrate", f"choose one of {', '.join(known)}", method)


def distance_measure(photos: PhotoTable, method: str) -> Measure:
    """Raises UserError for a method without a distance between photos, or one that the scan has nothing for."""
    check_has_distance(method)
    rows = np.flatnonzero(photos.readable)
    rows = rows[np.unique(photos.content[rows], return_index=True)[1]]
    if METHODS[method].semantic:
        values = photos.vectors()[rows]
        usable = np.isfinite(values).all(axis=1)
        return Measure("vector", values[usable].astype(np.float32), rows[usable])
    column = method if method.endswith("16") else f"{method}8"
    values = photos.column(column)[rows].reshape(len(rows), -1)
    # as in perceptual.py: the hash of a flat photo says nothing, and the method pairs none
    some_bits = (values != 0).any(axis=1) & (values != np.uint64(2**64 - 1)).any(axis=1)
    usable = some_bits & (photos.column("hash_contrast")[rows] >= FLAT)
    return Measure("hash", values[usable].astype(np.uint64), rows[usable])


def default_range(kind: str, words: int, threshold: float) -> float:
    """The largest distance to ask about: beyond it pairs are plainly different, and so many that they drown the rest.

    A quarter of the bits of a hash: among 608 photos of rendered vehicles 2,388 pairs lie within 16 of 64 bits, and
    47,780 within 26. Twice the threshold for embeddings.
    """
    return min(2 * threshold, 2.0) if kind == "vector" else max(16.0 * words, 2 * threshold)


def draw(
    photos: PhotoTable,
    method: str,
    threshold: float,
    number: int = 100,
    seed: int = 0,
    max_distance: float | None = None,
) -> Sample:
    """At most `number` pairs from 0 to `max_distance`, in bins of which none holds pairs on both sides of `threshold`.

    More with the same seed are these and further ones, so that answers stay good when more are asked for.

    Raises UserError where no pair lies within the range.
    """
    compared = distance_measure(photos, method)
    last = default_range(compared.kind, compared.values.shape[1], threshold) if max_distance is None else max_distance
    if number < BINS:
        raise UserError("questions", f"must be at least {BINS}", value=number)
    if not 0 < threshold < last:
        raise UserError(
            "method", f"its threshold, a distance of {threshold:g}, must lie within 0 and {last:g}", value=method
        )
    generator = np.random.default_rng(seed)
    archived = photos.is_archived[compared.rows]
    size = len(compared.rows)
    asked = size if size * size <= 2 * _ALL_PAIRS else max(2, _ALL_PAIRS // size)
    slots = _slots(compared.kind, threshold, last)
    found = _BinSample(len(slots), number, generator)
    order = generator.permutation(size) if asked < size else np.arange(size)
    for first, second, distance in _distances(compared, order, asked, last):
        usable = ~(archived[first] & archived[second])
        found.add(first[usable], second[usable], distance[usable], slots)
    if not found.count.any():
        raise UserError("method", f"no two photos lie within a distance of {last:g}", "there is nothing to ask", method)
    # a pair is seen if either of its photos is asked
    seen = 1.0 if asked == size else 1 - (1 - asked / size) * (1 - asked / (size - 1))
    upper, bin_of_slot = _bins(slots, found.count, threshold)
    pairs = found.drawn(bin_of_slot, number)
    rows = compared.rows
    one, other = rows[pairs[0].astype(np.int64)], rows[pairs[1].astype(np.int64)]
    return Sample(
        upper,
        np.bincount(bin_of_slot, found.count, len(upper)) / seen,
        last,
        asked == size,
        size,
        asked,
        np.minimum(one, other),
        np.maximum(one, other),
        pairs[2],
        pairs[3].astype(np.int64),
    )


def _slots(kind: str, threshold: float, last: float) -> np.ndarray:
    """(S,) ascending upper ends of the finest parts of the range: whole numbers, or _SLOTS and the threshold."""
    if kind == "hash":
        return np.arange(int(last) + 1, dtype=np.float64)
    return np.union1d(np.linspace(0, last, _SLOTS + 1)[1:], [threshold])


def _distances(
    compared: Measure, order: np.ndarray, asked: int, last: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs within `last` of the first `asked` photos of `order` and those after each, in blocks."""
    values = compared.values[order]
    step = max(1, _BLOCK // max(1, len(order)))
    for start in range(0, asked, step):
        part = values[start : min(start + step, asked)]
        if compared.kind == "hash":
            distance = sum(
                np.bitwise_count(part[:, None, word] ^ values[None, start:, word]).astype(np.uint16)
                for word in range(values.shape[1])
            )
        else:
            distance = np.sqrt(np.maximum(2 - 2 * (part @ values[start:].T), 0))
        near = np.triu(distance <= last, k=1)
        row, column = np.nonzero(near)
        yield order[start + row], order[start + column], distance[row, column].astype(np.float64)


class _BinSample:
    """Counts of pairs by slot, and in each slot a simple random sample of at most `most`: the smallest random keys."""

    def __init__(self, slots: int, most: int, generator: np.random.Generator) -> None:
        self.count = np.zeros(slots)
        self._most = most
        self._generator = generator
        self._kept: list[np.ndarray] = [np.empty((4, 0)) for _ in range(slots)]  # first, second, distance, key

    def add(self, first: np.ndarray, second: np.ndarray, distance: np.ndarray, slots: np.ndarray) -> None:
        slot = np.searchsorted(slots, distance)
        self.count += np.bincount(slot, minlength=len(slots))
        keys = self._generator.random(len(first))
        for number in np.unique(slot):
            chosen = np.flatnonzero(slot == number)
            chosen = chosen[np.argsort(keys[chosen])[: self._most]]
            new = np.stack([first[chosen], second[chosen], distance[chosen], keys[chosen]]).astype(np.float64)
            together = np.concatenate([self._kept[number], new], axis=1)
            self._kept[number] = together[:, np.argsort(together[3])[: self._most]]

    def drawn(self, bin_of_slot: np.ndarray, number: int) -> np.ndarray:
        """(4, P): first, second, distance, bin; about equally many of each bin, in random order."""
        bins = [
            np.concatenate([self._kept[slot] for slot in np.flatnonzero(bin_of_slot == place)], axis=1)
            for place in range(bin_of_slot.max() + 1)
        ]
        sizes = np.bincount(bin_of_slot, self.count)
        parts = []
        for place, size in enumerate(shares(sizes, number)):
            pairs = bins[place][:, np.argsort(bins[place][3])[:size]]
            parts.append(np.vstack([pairs[:3], np.full(pairs.shape[1], place)]))
        drawn = np.concatenate(parts, axis=1)
        return drawn[:, self._generator.permutation(drawn.shape[1])]


def _bins(slots: np.ndarray, count: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends (last slots with pairs) of about BINS bins, and each slot's bin.

    None is empty, none lies on both sides of the threshold.
    """
    last = int(np.flatnonzero(count)[-1])
    wanted = np.unique(np.append(np.linspace(0, last, BINS).round().astype(int), np.searchsorted(slots, threshold)))
    ends, held = [], 0.0
    for slot in range(len(slots)):
        held += count[slot]
        if held and slot in wanted:
            ends.append(slot)
            held = 0.0
    if held:
        ends.append(last)
    bin_of_slot = np.minimum(np.searchsorted(ends, np.arange(len(slots))), len(ends) - 1)
    full = np.flatnonzero(count)
    last_full = [full[bin_of_slot[full] == place][-1] for place in range(len(ends))]
    return slots[last_full], bin_of_slot


def shares(sizes: np.ndarray, number: int) -> np.ndarray:
    """(B,) int64: `number` dealt evenly among bins of (B,) `sizes`; what a small bin lacks goes to the others."""
    given = np.zeros(len(sizes), np.int64)
    left = min(number, int(sizes.sum()))
    while left:
        open_bins = np.flatnonzero(given < sizes)
        each = max(1, left // len(open_bins))
        for place in open_bins:
            more = min(each, int(sizes[place] - given[place]), left)
            given[place] += more
            left -= more
    return given
