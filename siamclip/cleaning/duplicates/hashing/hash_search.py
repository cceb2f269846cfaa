"""All pairs of hashes within a Hamming distance, exactly, without comparing all with all.

The bits are dealt into M blocks. Two hashes that differ in at most t bits differ in at most t blocks, so they agree
in at least K = M - t of them (the pigeonhole principle; Manku, Jain and Das Sarma, WWW 2007, section 3). For each
choice of K blocks the hashes are sorted into buckets by those blocks, and only hashes of one bucket are
compared. M is chosen by its cost on a sample of the hashes; where comparing all is cheaper, that is done.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from siamclip.errors import UserError

MAX_PAIRS = 100_000_000  # 0.9 GB of them

_SAMPLE = 20_000  # hashes that the cost of a plan is estimated on
_SAMPLED_CHOICES = 6
_MAX_CHOICES = 5_000
# Nanoseconds on one core of a Xeon (Sapphire Rapids): sorting one hash into a bucket, one comparison in a bucket,
# and one of the flat scan. Only their ratios matter, and only for speed.
_SORTING, _COMPARING, _SCANNING = 80.0, 1.0, 0.3
_ROWS_MEMORY = 2**29  # bytes that the threads' sorted copies may take together
_FLAT_TASK = 2**29  # comparisons of one task of the flat scan

BitPairs = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class SearchPlan:
    """Agreement in `agreeing` of `blocks` blocks; 0 blocks: compare all with all. `cost` in ns on one core."""

    blocks: int
    agreeing: int
    cost: float


def hash_pairs_within(
    hashes: np.ndarray, threshold: int, max_pairs: int = MAX_PAIRS, threads: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of rows at most `threshold` bits apart: first < second (P,) int32, distance (P,) uint8.

    `hashes`: (N,) or (N, W) uint64. No pair comes twice; their order is not defined. Rows should be distinct values: n
    equal rows are n^2 / 2 pairs. `threads`: one a core by default. Raises UserError above `max_pairs`.
    """
    return _search(_as_rows(hashes), 0, threshold, max_pairs, threads)


def hash_pairs_between(
    queries: np.ndarray,
    archive: np.ndarray,
    threshold: int,
    max_pairs: int = MAX_PAIRS,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `hash_pairs_within`, of a row of `queries` (first) and a row of `archive` (second); none within either."""
    queries, archive = _as_rows(queries), _as_rows(archive)
    if not len(queries) or not len(archive):
        return _joined([])
    first, second, distance = _search(np.concatenate([queries, archive]), len(queries), threshold, max_pairs, threads)
    return first, second - np.int32(len(queries)), distance


def _as_rows(hashes: np.ndarray) -> np.ndarray:
    if hashes.dtype != np.uint64 or hashes.ndim not in (1, 2):
        raise ValueError(f"hashes are (N,) or (N, W) uint64, not {hashes.shape} {hashes.dtype}")
    return np.ascontiguousarray(hashes[:, None] if hashes.ndim == 1 else hashes)


def _search(rows: np.ndarray, boundary: int, threshold: int, max_pairs: int, threads: int | None) -> BitPairs:
    bits = 64 * rows.shape[1]
    if not 0 <= threshold < bits:
        raise ValueError(f"a threshold between hashes of {bits} bits lies in 0..{bits - 1}, not {threshold}")
    if len(rows) < 2:
        return _joined([])
    from siamclip.cleaning.duplicates.hashing import hash_kernels

    ranked = _by_information(rows)
    plan = choose_plan(rows, ranked, threshold, boundary)
    words, fields = hash_kernels.fold(rows.view(np.uint8), *_tables(ranked, max(plan.blocks, 1)))
    if plan.blocks:
        tasks = _bucket_tasks(words, fields, _masks(len(ranked), plan.blocks), plan, boundary, threshold)
    else:
        tasks = _flat_tasks(words, boundary, threshold)
    threads = threads or _cores()
    threads = max(1, min(threads, _ROWS_MEMORY // (24 * len(rows))))
    return _joined(_run(tasks, threads, max_pairs, threshold))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_information(rows: np.ndarray) -> np.ndarray:
    """Bit numbers (bit b of byte p is 8p + b), the one nearest to half ones first: it tells hashes apart best."""
    sample = _sample(rows).view(np.uint8)
    ones = np.unpackbits(sample, axis=1, bitorder="little").mean(axis=0)
    return np.argsort(np.abs(ones - 0.5), kind="stable")


def _sample(rows: np.ndarray) -> np.ndarray:
    step = max(1, len(rows) // _SAMPLE)
    return np.ascontiguousarray(rows[::step][:_SAMPLE])


def _tables(ranked: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """For `hash_kernels.fold`. The bits are dealt to the blocks in turns, so that each gets its share of information.

    The permuted hash begins with the bits that tell most, so that its first word settles most comparisons. A
    block of more than 32 bits is folded by XOR: equal blocks stay equal.
    """
    bits = len(ranked)
    words = np.zeros((bits // 8, 256, bits // 64), np.uint64)
    fields = np.zeros((bits // 8, 256, blocks), np.uint32)
    values = np.arange(256)
    for rank, bit in enumerate(ranked.tolist()):
        byte, has_bit = bit // 8, (values >> (bit % 8)) & 1
        words[byte, :, rank // 64] |= has_bit.astype(np.uint64) << np.uint64(rank % 64)
        fields[byte, :, rank % blocks] ^= has_bit.astype(np.uint32) << np.uint32(rank // blocks % 32)
    return words, fields


def choose_plan(rows: np.ndarray, ranked: np.ndarray, threshold: int, boundary: int = 0) -> SearchPlan:
    """The cheapest plan for (N, W) uint64 rows, by the collisions that it has in a sample of them."""
    from siamclip.cleaning.duplicates.hashing import hash_kernels

    number, sample = len(rows), _sample(rows)
    # Pairs to compare, as a share of all pairs: those of two sides only.
    share = 2 * boundary * (number - boundary) / number**2 if boundary else 1.0
    best = SearchPlan(0, 0, number**2 / 2 * share * _SCANNING)
    scale = (number / len(sample)) ** 2 * share
    for blocks in range(threshold + 1, min(threshold + 7, 8 * rows.itemsize * rows.shape[1]) + 1):
        agreeing = blocks - threshold
        choices = math.comb(blocks, agreeing)
        if choices > _MAX_CHOICES or choices * number * _SORTING > best.cost:
            continue
        _, fields = hash_kernels.fold(sample.view(np.uint8), *_tables(ranked, blocks))
        collisions = 0.0
        for chosen in _spread(blocks, agreeing):
            buckets = hash_kernels.bucket_of(fields, chosen, _bucket_bits(number))
            sizes = np.unique(buckets, return_counts=True)[1].astype(np.float64)
            collisions += (sizes * (sizes - 1) / 2).sum() / _SAMPLED_CHOICES
        cost = choices * (number * _SORTING + collisions * scale * _COMPARING)
        if cost < best.cost:
            best = SearchPlan(blocks, agreeing, cost)
    return best


def _spread(blocks: int, agreeing: int) -> list[np.ndarray]:
    """_SAMPLED_CHOICES choices of `agreeing` blocks, in which every block has its turn."""
    starts = [i * blocks // _SAMPLED_CHOICES for i in range(_SAMPLED_CHOICES)]
    return [np.sort((start + np.arange(agreeing)) % blocks) for start in starts]


def _bucket_bits(number: int) -> int:
    return min(max(number.bit_length(), 8), 24)


def _masks(bits: int, blocks: int) -> np.ndarray:
    """(blocks, W) uint64: the bits of each block in a permuted hash, as `_tables` deals them."""
    masks = np.zeros((blocks, bits // 64), np.uint64)
    for rank in range(bits):
        masks[rank % blocks, rank // 64] |= np.uint64(1 << (rank % 64))
    return masks


# A task takes the number of pairs that there is still room for.
def _bucket_tasks(
    words: np.ndarray, fields: np.ndarray, masks: np.ndarray, plan: SearchPlan, boundary: int, threshold: int
) -> Iterator[Callable[[int], BitPairs]]:
    from siamclip.cleaning.duplicates.hashing.hash_kernels import bucket_pairs

    bits = _bucket_bits(len(words))
    for blocks in itertools.combinations(range(plan.blocks), plan.agreeing):
        chosen = np.array(blocks, np.int64)
        yield functools.partial(bucket_pairs, words, fields, masks, chosen, bits, boundary, threshold)


def _flat_tasks(words: np.ndarray, boundary: int, threshold: int) -> Iterator[Callable[[int], BitPairs]]:
    from siamclip.cleaning.duplicates.hashing.hash_kernels import flat_pairs

    heads = np.ascontiguousarray(words[:, 0])
    rows = boundary or len(words)
    step = max(1, _FLAT_TASK // len(words))
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        yield functools.partial(flat_pairs, words, heads, start, stop, boundary, threshold)


def _run(tasks: Iterator[Callable[[int], BitPairs]], threads: int, max_pairs: int, threshold: int) -> list[BitPairs]:
    """Results in the order of the tasks, a few of which are under way at any time."""
    found: list[BitPairs] = []
    total = 0
    waiting: list[Future[BitPairs]] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            while True:
                ahead = itertools.islice(tasks, 2 * threads - len(waiting))
                waiting += [pool.submit(task, max_pairs - total) for task in ahead]
                if not waiting:
                    return found
                found.append(waiting.pop(0).result())
                total += len(found[-1][0])
                if total > max_pairs:
                    raise UserError(
                        "",
                        f"more than {max_pairs:,} pairs lie within {threshold} bits of each other",
                        "lower the threshold",
                    )
        finally:
            for future in waiting:
                future.cancel()


def _joined(parts: list[BitPairs]) -> BitPairs:
    if not parts:
        return np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.uint8)
    first, second, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return first, second, distance
