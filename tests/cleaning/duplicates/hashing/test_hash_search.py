"""The search returns what comparing all with all returns, for every plan, threshold and distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.duplicates.hashing import hash_search
from siamclip.cleaning.duplicates.hashing.hash_search import (
    SearchPlan,
    choose_plan,
    hash_pairs_between,
    hash_pairs_within,
)
from siamclip.errors import UserError

BitPairs = set[tuple[int, int, int]]


def planted(number: int, words: int, farthest: int, seed: int = 0) -> np.ndarray:
    """Random hashes; a third of them differ from another one in 0 to `farthest` bits."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, (number, words), dtype=np.uint64)
    for i in range(number // 3):
        hashes[-1 - i] = hashes[i]
        for bit in rng.choice(64 * words, rng.integers(0, farthest + 1), replace=False):
            hashes[-1 - i, bit // 64] ^= np.uint64(1 << int(bit % 64))
    return hashes[rng.permutation(number)]


def skewed(number: int, words: int, seed: int = 0) -> np.ndarray:
    """As hashes of real photos: most bits nearly constant, and runs of bits that agree."""
    rng = np.random.default_rng(seed)
    odds = np.repeat(rng.beta(0.3, 0.3, 16 * words), 4)
    leaders = rng.random((number, 16 * words)).repeat(4, axis=1)
    bits = np.where(rng.random((number, 64 * words)) < 0.8, leaders, rng.random((number, 64 * words))) < odds
    return np.packbits(bits, axis=1).view(np.uint64)


def naive(hashes: np.ndarray, others: np.ndarray, threshold: int) -> BitPairs:
    distance = np.zeros((len(hashes), len(others)), np.int64)
    for w in range(hashes.shape[1]):
        distance += np.unpackbits(
            (hashes[:, None, w] ^ others[None, :, w]).view(np.uint8).reshape(*distance.shape, 8), axis=2
        ).sum(axis=2, dtype=np.int64)
    first, second = np.nonzero(distance <= threshold)
    return set(zip(first.tolist(), second.tolist(), distance[first, second].tolist(), strict=True))


def naive_within(hashes: np.ndarray, threshold: int) -> BitPairs:
    return {(i, j, d) for i, j, d in naive(hashes, hashes, threshold) if i < j}


def as_set(found: tuple[np.ndarray, np.ndarray, np.ndarray]) -> BitPairs:
    pairs = set(zip(*(column.tolist() for column in found), strict=True))
    assert len(pairs) == len(found[0]) == len({pair[:2] for pair in pairs})  # none twice
    return pairs


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("threshold", [0, 1, 2, 3, 5, 7, 10, 16, 20, 40])
def test_all_pairs_and_no_other(words: int, threshold: int) -> None:
    for hashes in (planted(700, words, threshold + 2), skewed(500, words)):
        assert as_set(hash_pairs_within(hashes, threshold)) == naive_within(hashes, threshold)


def test_two_thousand_hashes_of_one_word_as_a_vector() -> None:
    hashes = planted(2000, 1, 7)
    assert as_set(hash_pairs_within(hashes[:, 0], 5)) == naive_within(hashes, 5)


@pytest.mark.parametrize(("words", "threshold"), [(1, 0), (1, 1), (1, 4), (1, 5), (1, 9), (4, 2), (4, 20)])
def test_every_plan_finds_the_same(words: int, threshold: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.concatenate([planted(300, words, threshold + 1), skewed(200, words)])
    expected = naive_within(hashes, threshold)
    used = 0
    for blocks in [0, *range(threshold + 1, threshold + 7)]:
        agreeing = blocks - threshold if blocks else 0
        if blocks and math.comb(blocks, agreeing) > 400:
            continue
        plan = SearchPlan(blocks, agreeing, 0.0)
        monkeypatch.setattr(hash_search, "choose_plan", lambda *_, plan=plan: plan)
        assert as_set(hash_pairs_within(hashes, threshold)) == expected, blocks
        used += 1
    assert used >= 3


@pytest.mark.parametrize("blocks", [0, 7])
@pytest.mark.parametrize("words", [1, 4])
def test_between_two_sets_and_never_within_one(words: int, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hash_search, "choose_plan", lambda *_: SearchPlan(blocks, max(blocks - 5, 0), 0.0))
    hashes = planted(900, words, 7)
    for split in (1, 300, 899):
        queries, archive = hashes[:split], hashes[split:]
        assert as_set(hash_pairs_between(queries, archive, 5)) == naive(queries, archive, 5)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**10 - 1), max_size=60), st.integers(0, 12), st.integers(0, 54), st.randoms())
def test_dense_values_and_any_order(values: list[int], threshold: int, shift: int, random: object) -> None:
    hashes = np.array(values, np.uint64) << np.uint64(shift)
    found = as_set(hash_pairs_within(hashes, threshold))
    assert found == naive_within(hashes.reshape(-1, 1), threshold)
    order = np.random.default_rng(random.randrange(2**32)).permutation(len(hashes))
    again = as_set(hash_pairs_within(hashes[order], threshold))
    back = {(*sorted((int(order[i]), int(order[j]))), d) for i, j, d in again}
    assert back == found


def test_number_of_threads_does_not_matter() -> None:
    hashes = planted(3000, 1, 6)
    one, many = hash_pairs_within(hashes, 5, threads=1), hash_pairs_within(hashes, 5, threads=5)
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


def test_small_inputs_and_types() -> None:
    for number in (0, 1):
        first, second, distance = hash_pairs_within(np.zeros(number, np.uint64), 5)
        assert (len(first), first.dtype, second.dtype, distance.dtype) == (0, np.int32, np.int32, np.uint8)
    assert as_set(hash_pairs_within(np.array([7, 7, 6], np.uint64), 0)) == {(0, 1, 0)}
    assert len(hash_pairs_between(np.zeros(0, np.uint64), np.zeros(3, np.uint64), 5)[0]) == 0
    with pytest.raises(ValueError, match="uint64"):
        hash_pairs_within(np.zeros(3, np.int64), 5)
    for threshold in (-1, 64):
        with pytest.raises(ValueError, match=r"0\.\.63"):
            hash_pairs_within(np.zeros(3, np.uint64), threshold)


@pytest.mark.parametrize("threshold", [5, 30])
def test_more_pairs_than_allowed_is_an_error_and_exactly_as_many_is_none(threshold: int) -> None:
    hashes = np.arange(600, dtype=np.uint64)
    number = len(naive_within(hashes.reshape(-1, 1), threshold))
    assert len(hash_pairs_within(hashes, threshold, max_pairs=number)[0]) == number
    with pytest.raises(UserError, match="lower the threshold"):
        hash_pairs_within(hashes, threshold, max_pairs=number - 1)


def test_buckets_are_chosen_where_they_pay_and_all_with_all_where_not() -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(0, 2**64, (200_000, 1), dtype=np.uint64)
    ranked = hash_search._by_information(many)
    assert choose_plan(many, ranked, 5).blocks
    assert not choose_plan(many, ranked, 25).blocks
    assert not choose_plan(many[:50], ranked, 5).blocks
