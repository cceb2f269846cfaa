"""Soft labels and their agreement, against naive loops, a linear programme, and the laws they must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from siamclip.training.soft_labels import SoftLabels, agreement, mix

seeds = st.integers(0, 2**32 - 1)


def distributions(number: int, classes: int, seed: int) -> np.ndarray:
    """Rows that sum to 1, some of them with a single 1 and some with zeros."""
    rng = np.random.default_rng(seed)
    table = rng.dirichlet(np.full(classes, 0.5), number)
    table[rng.random((number, classes)) < 0.3] = 0
    table[np.arange(number), rng.integers(classes, size=number)] += 0.1
    return table / table.sum(axis=1, keepdims=True)


@given(st.integers(2, 8), st.integers(1, 6), seeds)
def test_agreement_equals_a_naive_loop_and_1_less_the_total_variation(number: int, classes: int, seed: int) -> None:
    labels = distributions(number, classes, seed)
    first, second = (x.ravel() for x in np.indices((number, number)))
    found = agreement(labels, first, second)
    assert found.dtype == np.float32
    for i, a, b in zip(range(len(first)), first, second, strict=True):
        shared = sum(min(labels[a, c], labels[b, c]) for c in range(classes))
        variation = 0.5 * sum(abs(labels[a, c] - labels[b, c]) for c in range(classes))
        assert found[i] == pytest.approx(shared, abs=1e-6) == pytest.approx(1 - variation, abs=1e-6)


@settings(max_examples=15)
@given(st.integers(1, 4), seeds)
def test_agreement_is_the_largest_probability_of_equal_draws(classes: int, seed: int) -> None:
    """Over all joint distributions with these two margins."""
    p, q = distributions(2, classes, seed)
    margins = [np.kron(np.eye(classes), np.ones(classes)), np.kron(np.ones(classes), np.eye(classes))]
    best = linprog(-np.eye(classes).ravel(), A_eq=np.concatenate(margins), b_eq=np.concatenate([p, q]))
    found = agreement(np.stack([p, q]), np.array([0]), np.array([1]))[0]
    assert found == pytest.approx(-best.fun, abs=1e-6)


@given(st.integers(1, 6), seeds)
def test_laws_of_agreement(classes: int, seed: int) -> None:
    labels = distributions(3, classes, seed)
    p, q, r = 0, 1, 2

    def of(a: int, b: int) -> float:
        return float(agreement(labels, np.array([a]), np.array([b]))[0])

    assert of(p, p) == 1.0  # the dot product would say less of a mixed image and itself
    assert 0 <= of(p, q) == of(q, p) <= 1
    assert 1 - of(p, r) <= (1 - of(p, q)) + (1 - of(q, r)) + 1e-6  # a distance obeys the triangle inequality


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_hard_labels_agree_or_they_do_not(labels: list[int]) -> None:
    hard = np.array(labels)
    first, second = (x.ravel() for x in np.indices((len(hard), len(hard))))
    table = SoftLabels.hard(hard).among(np.arange(len(hard)))
    np.testing.assert_array_equal(agreement(table, first, second), hard[first] == hard[second])


@given(st.integers(2, 6), seeds)
def test_mixing_keeps_shares_and_ends_where_it_should(number: int, seed: int) -> None:
    labels, rng = distributions(number, 4, seed), np.random.default_rng(seed)
    partner, share = rng.integers(number, size=number), rng.random(number)
    np.testing.assert_allclose(mix(labels, partner, share).sum(axis=1), 1)
    np.testing.assert_array_equal(mix(labels, partner, np.ones(number)), labels)
    np.testing.assert_array_equal(mix(labels, partner, np.zeros(number)), labels[partner])
    # an image agrees with a photo of its own identity by the share of it, where no other photo shows that identity
    hard = np.eye(number)
    others = np.roll(np.arange(number), 1)
    both = np.concatenate([hard, mix(hard, others, share)])
    found = agreement(both, np.arange(number), number + np.arange(number))
    np.testing.assert_allclose(found, share, atol=1e-6)


# -- a collection's labels ------------------------------------------------------------------------------------------

PHOTOS = SoftLabels.hard(np.array([0, 0, 1, 2]))
MADE = SoftLabels(np.array([[1, 0], [2, 0]]), np.array([[0.7, 0.3], [1.0, 0.0]]))


def test_labels_that_follow_others() -> None:
    both = PHOTOS.followed_by(MADE)
    assert len(both) == 6
    assert both.mixed.tolist() == [False] * 4 + [True, False]
    assert both.hardened.tolist() == [0, 0, 1, 2, 1, 2]
    assert both.shown.tolist() == [[0, -1], [0, -1], [1, -1], [2, -1], [1, 0], [2, -1]]
    np.testing.assert_allclose(both.among(np.array([4, 0, 5, 2])), [[0.3, 0.7, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_identities_are_drawn_by_their_shares() -> None:
    both = PHOTOS.followed_by(MADE)
    rng = np.random.default_rng(0)
    drawn = np.array([both.drawn(rng) for _ in range(4000)])
    assert (drawn[:, [0, 1, 2, 3, 5]] == [0, 0, 1, 2, 2]).all()
    assert (drawn[:, 4] == 1).mean() == pytest.approx(0.7, abs=0.03)  # standard deviation 0.007
    assert set(drawn[:, 4]) == {0, 1}


def test_where_nothing_is_mixed_nothing_is_drawn_from_the_generator() -> None:
    rng = np.random.default_rng(3)
    assert PHOTOS.drawn(rng).tolist() == [0, 0, 1, 2]
    assert rng.random() == np.random.default_rng(3).random()
