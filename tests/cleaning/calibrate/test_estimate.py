"""Precision and recall of every threshold: against the truth, and how often the intervals hold it."""

from __future__ import annotations

import numpy as np
import pytest

from siamclip.cleaning.calibrate.estimate import choose, curve


def test_with_every_pair_answered_the_figures_are_the_truth() -> None:
    population, same = np.array([10, 20, 70]), np.array([10, 15, 7])
    found = curve(np.array([1.0, 2.0, 3.0]), population, population, same)
    precision, recall = np.array([1, 25 / 30, 32 / 100]), np.array([10, 25, 32]) / 32
    for name, truth in (("precision", precision), ("recall", recall)):
        for end in ("", "_low", "_high"):
            np.testing.assert_allclose(getattr(found, name + end), truth)


def test_bins_weigh_by_their_pairs_and_not_by_their_answers() -> None:
    # half of 10 answers in a bin of 1,000 pairs is 500 copies; all of 10 in a bin of 10 is 10
    found = curve(np.array([1.0, 2.0]), np.array([10, 1000]), np.array([10, 10]), np.array([10, 5]))
    np.testing.assert_allclose(found.precision, [1.0, 510 / 1010])
    np.testing.assert_allclose(found.recall, [10 / 510, 1.0])
    assert (found.precision_low <= found.precision).all()
    assert (found.precision <= found.precision_high).all()


def test_a_bin_without_answers_leaves_what_depends_on_it_unknown() -> None:
    found = curve(np.array([1.0, 2.0]), np.array([10, 30]), np.array([10, 0]), np.array([9, 0]))
    np.testing.assert_array_equal(found.precision, [0.9, np.nan])
    assert np.isnan(found.recall).all()
    np.testing.assert_allclose([found.precision_low[1], found.precision_high[1]], [9 / 40, 39 / 40])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("population", "share"),
    [
        ([150, 100, 80, 60, 90, 200, 400, 900, 2000], [1, 1, 0.98, 0.9, 0.6, 0.2, 0.05, 0.01, 0]),
        ([20_000] * 8, [0.99, 0.97, 0.8, 0.6, 0.4, 0.2, 0.1, 0.02]),
    ],
)
def test_intervals_cover_the_truth_about_as_often_as_they_say(population: list[int], share: list[float]) -> None:
    sizes = np.array(population)
    truth = np.rint(sizes * np.array(share)).astype(int)
    precision, recall = np.cumsum(truth) / np.cumsum(sizes), np.cumsum(truth) / truth.sum()
    answered, repeats = np.full(len(sizes), 12), 100
    covered = {"precision": np.zeros(len(sizes)), "recall": np.zeros(len(sizes))}
    widths = {"precision": 0.0, "recall": 0.0}
    for seed in range(repeats):
        generator = np.random.default_rng(seed)
        found = curve(sizes, sizes, answered, generator.hypergeometric(truth, sizes - truth, answered), seed=seed)
        for name, true in (("precision", precision), ("recall", recall)):
            low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
            covered[name] += (low - 1e-9 <= true) & (true <= high + 1e-9)
            widths[name] += (high - low).mean() / repeats
    for name, times in covered.items():
        assert (times / repeats > 0.89).all(), (name, times / repeats)
        assert np.mean(times / repeats) > 0.94
        assert widths[name] < 0.5, name


def test_the_threshold_is_the_largest_with_the_wished_precision() -> None:
    found = curve(np.array([1.0, 2.0, 3.0]), np.array([400] * 3), np.array([300] * 3), np.array([300, 295, 150]))
    choice = choose(found, 0.99)
    assert (choice.estimated, choice.sure) == (1, 0)
    assert choose(found, 0.9999).estimated == 0
    assert choose(curve(np.array([1.0]), np.array([9]), np.array([9]), np.array([5])), 0.9).estimated is None
