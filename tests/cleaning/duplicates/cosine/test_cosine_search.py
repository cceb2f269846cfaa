"""The exact search against a naive loop in float64, whatever the block, the order and the arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip import device
from siamclip.cleaning.duplicates.cosine.cosine_search import (
    NearPairs,
    PairCollector,
    _bf16_bits_below,
    pairs_above,
    pairs_between,
)
from siamclip.errors import UserError


def unit_vectors(number: int, dimension: int, seed: int, spread: float = 0.2) -> np.ndarray:
    """Some places with several vectors around each, and some equal vectors."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((max(1, number // 4), dimension))
    vectors = places[rng.integers(0, len(places), number)] + spread * rng.standard_normal((number, dimension))
    if number > 3:
        vectors[1] = vectors[number // 2]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def naive(left: np.ndarray, right: np.ndarray | None, threshold: float) -> dict[tuple[int, int], float]:
    """Pair -> distance, by a loop over all pairs in float64."""
    found = {}
    others = left if right is None else right
    for i, one in enumerate(left.astype(np.float64)):
        for j, other in enumerate(others.astype(np.float64)):
            if (right is not None or i < j) and 1 - ((one - other) ** 2).sum() / 2 >= threshold:
                found[i, j] = float(np.linalg.norm(one - other))
    return found


def as_dictionary(found: NearPairs) -> dict[tuple[int, int], float]:
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == len(found)
    assert pairs == sorted(pairs)
    return dict(zip(pairs, found.distance.tolist(), strict=True))


@settings(deadline=None, max_examples=60)
@given(
    number=st.integers(0, 70),
    dimension=st.sampled_from([1, 3, 40, 129]),
    threshold=st.sampled_from([-1.0, -0.3, 0.0, 0.004, 0.3, 0.9, 0.95, 0.99, 1.0]),
    block=st.sampled_from([1, 7, 16, 4096]),
    seed=st.integers(0, 1000),
)
def test_all_pairs_as_the_naive_loop_finds_them(
    number: int, dimension: int, threshold: float, block: int, seed: int
) -> None:
    vectors = unit_vectors(number, dimension, seed)
    expected = naive(vectors, None, threshold)
    found = as_dictionary(pairs_above(vectors, threshold, block))
    # The loop's own sums may fall to the other side of the threshold only by its rounding.
    for pair in found.keys() ^ expected.keys():
        one, other = vectors[list(pair)].astype(np.float64)
        assert abs(1 - ((one - other) ** 2).sum() / 2 - threshold) < 1e-6
    for pair in found.keys() & expected.keys():
        assert found[pair] == pytest.approx(expected[pair], abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    threshold=st.sampled_from([-0.3, 0.3, 0.9]),
    block=st.sampled_from([3, 4096]),
    seed=st.integers(0, 1000),
)
def test_pairs_between_two_sets(sizes: tuple[int, int], threshold: float, block: int, seed: int) -> None:
    vectors = unit_vectors(sum(sizes), 24, seed)
    queries, archive = vectors[: sizes[0]], vectors[sizes[0] :]
    found = as_dictionary(pairs_between(queries, archive, threshold, block))
    assert found == pytest.approx(naive(queries, archive, threshold), abs=1e-6)


@pytest.mark.parametrize("in_bf16", [False, True])
def test_the_arithmetic_of_the_blocks_changes_nothing(in_bf16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs packed around the threshold, closer to it than bfloat16 can tell."""
    monkeypatch.setattr(device, "bf16_gains", lambda _: in_bf16)
    rng = np.random.default_rng(5)
    base = unit_vectors(1, 96, 3)[0].astype(np.float64)
    aside = rng.standard_normal((400, 96))
    aside -= np.outer(aside @ base, base)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosine = 0.95 + rng.uniform(-0.004, 0.004, 400)
    vectors = cosine[:, None] * base + np.sqrt(1 - cosine**2)[:, None] * aside
    vectors = np.concatenate([base[None], vectors]).astype(np.float32)
    found = pairs_above(vectors, 0.95)
    of_base = found.second[found.first == 0]
    assert set(of_base) == set(np.flatnonzero(cosine >= 0.95) + 1)
    assert 100 < len(of_base) < 300


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), block=st.sampled_from([5, 64]))
def test_the_order_of_the_rows_changes_nothing(seed: int, block: int) -> None:
    vectors = unit_vectors(50, 32, seed)
    order = np.random.default_rng(seed).permutation(50)
    expected = as_dictionary(pairs_above(vectors, 0.9))
    found = pairs_above(vectors[order], 0.9, block)
    renamed = {
        (min(a, b), max(a, b)): d
        for a, b, d in zip(order[found.first], order[found.second], found.distance.tolist(), strict=True)
    }
    assert renamed == expected  # bit for bit


def test_equal_vectors_have_distance_0_and_reach_a_threshold_of_1() -> None:
    vectors = np.repeat(unit_vectors(1, 512, 1), 3, axis=0)
    assert as_dictionary(pairs_above(vectors, 1.0)) == {(0, 1): 0.0, (0, 2): 0.0, (1, 2): 0.0}


def test_known_angles() -> None:
    angles = np.deg2rad([0, 10, 25, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = as_dictionary(pairs_above(vectors, np.cos(np.deg2rad(15.01))))
    assert found == pytest.approx({(0, 1): 2 * np.sin(np.deg2rad(5)), (1, 2): 2 * np.sin(np.deg2rad(7.5))}, abs=1e-6)


def test_rows_of_nan_match_nothing_and_keep_the_numbering() -> None:
    vectors = np.repeat(unit_vectors(1, 16, 2), 4, axis=0)
    vectors[[0, 2]] = np.nan
    assert as_dictionary(pairs_above(vectors, 0.9)) == {(1, 3): 0.0}
    assert as_dictionary(pairs_between(vectors, vectors, 0.9)).keys() == {(1, 1), (1, 3), (3, 1), (3, 3)}


def test_vectors_stored_in_half_precision_lose_no_pair() -> None:
    """Their lengths are off by 5e-4: more than rounding, and the margin has to cover it."""
    vectors = unit_vectors(200, 64, 9).astype(np.float16).astype(np.float32)
    for threshold in (0.9, 0.96, 0.99):
        assert as_dictionary(pairs_above(vectors, threshold)).keys() == naive(vectors, None, threshold).keys()


def test_lengths_below_1_lose_no_pair_at_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dot product of these is below the threshold, 1 - distance^2 / 2 is above it."""
    monkeypatch.setattr(device, "bf16_gains", lambda _: False)
    length, cosine = 0.9996, 0.95
    vectors = length * np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]])
    assert vectors[0] @ vectors[1] < 0.9495
    assert 1 - ((vectors[0] - vectors[1]) ** 2).sum() / 2 > 0.95
    assert len(pairs_above(vectors.astype(np.float32), 0.95)) == 1


def test_a_lower_precision_that_torch_was_told_to_use_loses_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bf16_gains", lambda _: False)
    vectors = unit_vectors(300, 64, 4)
    expected = as_dictionary(pairs_above(vectors, 0.95))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert as_dictionary(pairs_above(vectors, 0.95)) == expected
    finally:
        torch.set_float32_matmul_precision(before)


def test_wrong_input() -> None:
    with pytest.raises(ValueError, match="row 1 has length 2"):
        pairs_above(np.array([[1, 0], [2, 0]], np.float32), 0.9)
    with pytest.raises(ValueError, match="archive: expected shape"):
        pairs_between(np.ones((1, 1), np.float32), np.ones(1, np.float32), 0.9)


def test_too_many_pairs_are_refused_before_they_fill_the_memory() -> None:
    vectors = np.repeat(unit_vectors(1, 8, 2), 100, axis=0)
    assert len(pairs_above(vectors, 0.9, max_pairs=4950)) == 4950
    with pytest.raises(UserError, match="more than 4,949 pairs"):
        pairs_above(vectors, 0.9, max_pairs=4949)


def test_progress_adds_up() -> None:
    done: list[int] = []
    pairs_above(unit_vectors(50, 8, 1), 0.9, block=16, advance=done.append)
    assert sum(done) == 50 and len(done) == 4


def test_the_collector_keeps_each_pair_once() -> None:
    found = PairCollector(10)
    for _ in range(2):
        found.add(np.array([3, 0]), np.array([4, 2]), np.array([0.5, 0.25]))
    rows = np.arange(5) * 10
    assert as_dictionary(found.result(rows, rows)) == {(0, 20): 0.25, (30, 40): 0.5}


@given(st.floats(2.0**-20, 4.0, width=32))
def test_bfloat16_bits_order_as_the_numbers_do(value: float) -> None:
    bits = int(_bf16_bits_below(value))
    below, above = (torch.tensor([b], dtype=torch.int16).view(torch.bfloat16).item() for b in (bits, bits + 1))
    assert below <= value < above
