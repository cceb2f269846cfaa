"""Intervals: the weights they are made of, the replicates they drop, and how often they cover the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from math import erf, sqrt

import numpy as np
import pytest

from siamclip.metrics.bootstrap import Interval, identity_bootstrap
from siamclip.metrics.retrieval import Retrieval
from siamclip.metrics.verification import SortedPairs


def test_weights_count_how_often_the_identities_were_drawn() -> None:
    """Each replicate's weights equal those of the drawn list of identities, paired by a naive loop."""
    identity_a = np.array(["a", "a", "a", "b", "b", "c"])
    identity_b = np.array(["a", "b", "c", "c", "b", "c"])
    seen: list[np.ndarray] = []

    def record(weights: np.ndarray) -> dict[str, float]:
        seen.append(weights)
        return {"total": float(weights.sum())}

    identity_bootstrap(record, identity_a, identity_b, replicates=20, seed=3)
    generator = np.random.default_rng(3)
    np.testing.assert_array_equal(seen[0], np.ones(6))
    for weights in seen[1:]:
        times = Counter("abc"[index] for index in generator.integers(3, size=3))
        expected = [times[a] if a == b else times[a] * times[b] for a, b in zip(identity_a, identity_b, strict=True)]
        np.testing.assert_array_equal(weights, expected)


def test_interval_of_a_mean_equals_the_textbook() -> None:
    """One pair an identity: the bootstrap of a mean, +- 1.96 standard errors."""
    values = np.random.default_rng(0).normal(size=400)
    own = np.arange(400)
    found = identity_bootstrap(lambda w: {"mean": float(w @ values / w.sum())}, own, own, replicates=4000)["mean"]
    standard_error = values.std() / sqrt(400)
    assert found.low == pytest.approx(values.mean() - 1.96 * standard_error, abs=0.15 * standard_error)
    assert found.high == pytest.approx(values.mean() + 1.96 * standard_error, abs=0.15 * standard_error)
    assert found.dropped == 0


def test_seed_decides_and_confidence_widens() -> None:
    values, own = np.arange(30.0), np.arange(30)

    def interval(seed: int, confidence: float = 0.95) -> Interval:
        def mean(w: np.ndarray) -> dict[str, float]:
            return {"mean": float(w @ values / w.sum())}

        return identity_bootstrap(mean, own, own, replicates=200, seed=seed, confidence=confidence)["mean"]

    assert interval(1) == interval(1) != interval(2)
    assert interval(1, 0.5).low > interval(1, 0.95).low
    assert interval(1, 0.5).high < interval(1, 0.95).high


def replicates_that_fail(failing: int, how: Callable[[], float]) -> Interval:
    """200 replicates, `failing` of which are undefined."""
    calls = iter(range(-1, 200))

    def statistic(weights: np.ndarray) -> dict[str, float]:
        return {"figure": how() if 0 <= next(calls) < failing else 0.5}

    return identity_bootstrap(statistic, np.arange(3), np.arange(3), replicates=200)["figure"]


def raise_undefined() -> float:
    raise ValueError("no pair of same identity")


@pytest.mark.parametrize("how", [raise_undefined, lambda: float("nan")])
def test_undefined_replicates_are_dropped_and_counted(how: Callable[[], float]) -> None:
    assert replicates_that_fail(20, how) == Interval(0.5, 0.5, dropped=20)
    too_many = replicates_that_fail(21, how)
    assert too_many.dropped == 21
    assert np.isnan([too_many.low, too_many.high]).all()


def test_statistic_undefined_on_the_pairs_themselves_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pair of same"):
        identity_bootstrap(lambda w: {"x": raise_undefined()}, np.arange(3), np.arange(3))


@pytest.mark.parametrize(
    ("identity_a", "identity_b", "message"), [([1, 1], [1, 1], "at least two"), ([1, 2], [1], "two \\(P,\\)")]
)
def test_identities_that_do_not_fit(identity_a: list[int], identity_b: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identity_bootstrap(lambda w: {"x": 1.0}, np.array(identity_a), np.array(identity_b))


# A simulated collection: identity i has an effect, N(0, SPREAD), which moves all of its pairs.
IDENTITIES, PER_IDENTITY, SPREAD, NOISE = 120, 8, 0.2, 0.1
SAME_MEAN, DIFFERENT_MEAN, THRESHOLD = 0.8, 1.3, 0.9
TRIALS = 120


def simulated_pairs(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(distances, same, identity_a, identity_b): as many same as different pairs."""
    effect = generator.normal(0, SPREAD, IDENTITIES)
    a = np.tile(np.repeat(np.arange(IDENTITIES), PER_IDENTITY), 2)
    same = np.arange(len(a)) < len(a) // 2
    other = (a + generator.integers(1, IDENTITIES, len(a))) % IDENTITIES
    b = np.where(same, a, other)
    means = np.where(same, SAME_MEAN + effect[a], DIFFERENT_MEAN + effect[a] + effect[b])
    return np.abs(means + generator.normal(0, NOISE, len(a))), same, a, b


def normal_below(x: float, deviation: float) -> float:
    return 0.5 * (1 + erf(x / deviation / sqrt(2)))


def true_figures() -> dict[str, float]:
    """What infinitely many identities would give."""
    same_variance, different_variance = SPREAD**2 + NOISE**2, 2 * SPREAD**2 + NOISE**2
    return {
        "recall": normal_below(THRESHOLD - SAME_MEAN, sqrt(same_variance)),
        "far": normal_below(THRESHOLD - DIFFERENT_MEAN, sqrt(different_variance)),
        "auc": normal_below(DIFFERENT_MEAN - SAME_MEAN, sqrt(same_variance + different_variance)),
    }


def coverage(truth: dict[str, float], simulate: Callable[[int], dict[str, Interval]]) -> dict[str, float]:
    """Share of the simulated collections whose interval holds the true value."""
    intervals = [simulate(trial) for trial in range(TRIALS)]
    return {
        name: float(np.mean([found[name].low <= value <= found[name].high for found in intervals]))
        for name, value in truth.items()
    }


@pytest.mark.slow
def test_interval_over_identities_covers_the_truth_and_over_pairs_does_not() -> None:
    def simulate(trial: int, pairs_as_units: bool) -> dict[str, Interval]:
        distances, same, a, b = simulated_pairs(np.random.default_rng(trial))
        pairs = SortedPairs(distances, same)
        if pairs_as_units:
            a = b = np.arange(len(distances))
        return identity_bootstrap(
            lambda weights: pairs.summary(THRESHOLD, fars=(), weights=weights),
            a,
            b,
            replicates=200,
            seed=trial,
        )

    over_identities = coverage(true_figures(), partial(simulate, pairs_as_units=False))
    over_pairs = coverage(true_figures(), partial(simulate, pairs_as_units=True))
    assert all(0.88 <= share <= 0.99 for share in over_identities.values()), over_identities
    assert all(share < 0.7 for share in over_pairs.values()), over_pairs


@pytest.mark.slow
def test_retrieval_interval_over_identities_covers_the_truth_and_over_queries_does_not() -> None:
    identity = np.repeat(np.arange(IDENTITIES), PER_IDENTITY)

    def simulate(trial: int, unit: np.ndarray) -> dict[str, Interval]:
        """Queries of an easy or a hard identity: found first with a probability that is 1/2 on average."""
        generator = np.random.default_rng(trial)
        rank = np.where(generator.random(len(identity)) < generator.beta(0.5, 0.5, IDENTITIES)[identity], 1, 2)
        found = Retrieval(rank, 1 / rank, 1 / rank, 1 / rank, 1 / rank, valid=rank > 0)
        return identity_bootstrap(found.summary, unit, unit, replicates=200, seed=trial)

    over_identities = coverage({"rank1": 0.5}, partial(simulate, unit=identity))
    over_queries = coverage({"rank1": 0.5}, partial(simulate, unit=np.arange(len(identity))))
    assert 0.88 <= over_identities["rank1"] <= 0.99, over_identities
    assert over_queries["rank1"] < 0.7, over_queries
