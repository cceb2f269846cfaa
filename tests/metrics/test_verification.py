"""Published figures, scikit-learn, a naive loop, and laws that hold for every set of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from siamclip.errors import UserError
from siamclip.metrics import verification
from siamclip.metrics.verification import Confusion, SortedPairs, ThresholdRule

SAME = [0.10, 0.20, 0.30, 0.45, 0.55, 0.80]
DIFFERENT = [0.40, 0.60, 0.70, 0.90, 1.00, 1.20]
DISTANCES = np.array(SAME + DIFFERENT)
IS_SAME = np.array([True] * 6 + [False] * 6)


@st.composite
def pairs_with_ties(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of both classes on a coarse grid of distances, so that ties, also across classes, are common."""
    distances = draw(st.lists(st.integers(0, 8), min_size=2, max_size=30))
    same = draw(st.lists(st.booleans(), min_size=len(distances) - 2, max_size=len(distances) - 2))
    return np.array(distances) / 4, np.array([True, False, *same])


def random_pairs(seed: int, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping classes, rounded so that about half of the pairs tie."""
    generator = np.random.default_rng(seed)
    same = generator.random(count) < 0.4
    distances = np.clip(generator.normal(np.where(same, 0.7, 1.1), 0.25), 0, 2)
    return distances.round(2), same


def naive_confusion(distances: np.ndarray, same: np.ndarray, threshold: float) -> Confusion:
    tp = fp = tn = fn = 0
    for distance, is_same in zip(distances, same, strict=True):
        accepted = distance <= threshold
        tp += accepted and is_same
        fp += accepted and not is_same
        fn += not accepted and is_same
        tn += not accepted and not is_same
    return Confusion(tp, fp, tn, fn)


def test_published_figures_of_twelve_pairs() -> None:
    assert verification.auc(DISTANCES, IS_SAME) == pytest.approx(0.861111, abs=1e-6)
    assert verification.average_precision(DISTANCES, IS_SAME) == pytest.approx(0.883333, abs=1e-6)
    assert verification.eer(DISTANCES, IS_SAME) == pytest.approx(1 / 6)
    assert verification.tar_at_far(DISTANCES, IS_SAME, 0) == pytest.approx(0.5)
    assert verification.tar_at_far(DISTANCES, IS_SAME, 1 / 6) == pytest.approx(0.833333, abs=1e-6)


def test_published_best_threshold_of_twelve_pairs() -> None:
    assert verification.choose_threshold(DISTANCES, IS_SAME, "accuracy") == pytest.approx(0.575)
    assert verification.choose_threshold(DISTANCES, IS_SAME, "f1") == pytest.approx(0.575)
    at_best = verification.confusion(DISTANCES, IS_SAME, 0.575)
    assert at_best.accuracy == pytest.approx(0.833333, abs=1e-6)
    assert at_best.f1 == pytest.approx(0.833333, abs=1e-6)


def test_thresholds_of_the_other_rules_on_twelve_pairs() -> None:
    assert verification.choose_threshold(DISTANCES, IS_SAME, "eer") == pytest.approx(0.575)
    assert verification.choose_threshold(DISTANCES, IS_SAME, "far", 0) == pytest.approx(0.35)
    # FAR 2/6 allows .60 and, at the same TAR, needs only .40: the lower threshold is taken.
    assert verification.choose_threshold(DISTANCES, IS_SAME, "far", 2 / 6) == pytest.approx(0.575)


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn_with_ties(seed: int) -> None:
    distances, same = random_pairs(seed)
    assert verification.auc(distances, same) == pytest.approx(sklearn_metrics.roc_auc_score(same, -distances))
    assert verification.average_precision(distances, same) == pytest.approx(
        sklearn_metrics.average_precision_score(same, -distances)
    )
    far, tar, _ = sklearn_metrics.roc_curve(same, -distances, drop_intermediate=False)
    ours = verification.roc(distances, same)
    np.testing.assert_allclose(ours.far, far)
    np.testing.assert_allclose(ours.tar, tar)


@pytest.mark.parametrize("seed", range(3))
def test_weighted_figures_equal_scikit_learn(seed: int) -> None:
    distances, same = random_pairs(seed)
    weights = np.random.default_rng(seed).exponential(size=len(distances))
    assert verification.auc(distances, same, weights) == pytest.approx(
        sklearn_metrics.roc_auc_score(same, -distances, sample_weight=weights)
    )
    assert verification.average_precision(distances, same, weights) == pytest.approx(
        sklearn_metrics.average_precision_score(same, -distances, sample_weight=weights)
    )
    ours = verification.confusion(distances, same, 0.9, weights)
    theirs = sklearn_metrics.confusion_matrix(same, distances <= 0.9, sample_weight=weights)
    np.testing.assert_allclose([[ours.tn, ours.fp], [ours.fn, ours.tp]], theirs)


@pytest.mark.parametrize("seed", range(3))
def test_eer_is_where_the_joined_curve_crosses(seed: int) -> None:
    from scipy.interpolate import interp1d
    from scipy.optimize import brentq

    distances, same = random_pairs(seed)
    far, tar, _ = sklearn_metrics.roc_curve(same, -distances, drop_intermediate=False)
    curve = interp1d(far, tar)
    crossing = brentq(lambda x: 1 - x - float(curve(x)), 0.0, 1.0, xtol=1e-12)
    assert verification.eer(distances, same) == pytest.approx(crossing, abs=1e-9)


@given(pairs_with_ties(), st.sampled_from([-1.0, 0.0, 0.25, 0.6, 1.0, 2.0]))
def test_confusion_equals_naive_loop(pairs: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    assert verification.confusion(*pairs, threshold) == naive_confusion(*pairs, threshold)


@given(pairs_with_ties())
def test_each_threshold_gives_its_own_operating_point(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    roc = verification.roc(*pairs)
    for threshold, tp, fp in zip(roc.thresholds, roc.tp, roc.fp, strict=True):
        cells = naive_confusion(*pairs, threshold)
        assert (cells.tp, cells.fp) == (tp, fp)
    assert (np.diff(roc.thresholds) > 0).all()
    assert (roc.far[0], roc.tar[0], roc.far[-1], roc.tar[-1]) == (0, 0, 1, 1)


def test_threshold_between_neighbouring_floats_separates_them() -> None:
    near = np.array([1.0, np.nextafter(1.0, 2.0), np.nextafter(np.nextafter(1.0, 2.0), 2.0)])
    same = np.array([True, True, False])
    threshold = verification.choose_threshold(near, same, "accuracy")
    assert verification.confusion(near, same, threshold).accuracy == 1


@given(pairs_with_ties())
def test_auc_and_eer_stay_under_an_increasing_map(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    distances, same = pairs
    assert 0 <= verification.auc(distances, same) <= 1
    assert 0 <= verification.eer(distances, same) <= 1
    assert verification.auc(np.expm1(distances) ** 3, same) == verification.auc(distances, same)
    assert verification.eer(np.expm1(distances) ** 3, same) == verification.eer(distances, same)


@given(pairs_with_ties())
def test_swapping_the_classes_mirrors_auc_and_eer(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    distances, same = pairs
    assert verification.auc(distances, ~same) == pytest.approx(1 - verification.auc(distances, same))
    assert verification.eer(distances, ~same) == pytest.approx(1 - verification.eer(distances, same))


@given(pairs_with_ties(), st.sampled_from(["f1", "accuracy"]))
def test_chosen_threshold_beats_every_other(pairs: tuple[np.ndarray, np.ndarray], rule: ThresholdRule) -> None:
    chosen = getattr(verification.confusion(*pairs, verification.choose_threshold(*pairs, rule)), rule)
    assert all(getattr(naive_confusion(*pairs, cut), rule) <= chosen for cut in [-1.0, *pairs[0]])


@given(pairs_with_ties())
def test_eer_rule_has_the_smallest_gap(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    def gap(threshold: float) -> float:
        cells = naive_confusion(*pairs, threshold)
        return abs(cells.far - cells.frr)

    chosen = gap(verification.choose_threshold(*pairs, "eer"))
    assert all(chosen <= gap(cut) + 1e-12 for cut in [-1.0, *pairs[0]])


@given(pairs_with_ties(), st.floats(0, 1))
def test_far_rule_is_the_best_allowed_and_tar_at_far_agrees(
    pairs: tuple[np.ndarray, np.ndarray], target: float
) -> None:
    chosen = verification.confusion(*pairs, verification.choose_threshold(*pairs, "far", target))
    allowed = [naive_confusion(*pairs, cut) for cut in [-1.0, *pairs[0]]]
    best = max(cells.recall for cells in allowed if cells.far <= target)
    assert chosen.far <= target
    assert chosen.recall == best == verification.tar_at_far(*pairs, target)
    assert chosen.far == min(cells.far for cells in allowed if cells.recall == best)


@given(pairs_with_ties(), st.data())
def test_whole_weights_equal_repeated_pairs(pairs: tuple[np.ndarray, np.ndarray], data: st.DataObject) -> None:
    distances, same = pairs
    count = len(distances) - 2
    times = np.array([1, 1, *data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))])
    repeated = np.repeat(distances, times), np.repeat(same, times)
    assert verification.summary(distances, same, 0.8, weights=times) == pytest.approx(
        verification.summary(*repeated, 0.8)
    )
    for rule in ("f1", "accuracy", "eer"):
        weighted = verification.choose_threshold(distances, same, rule, weights=times)
        assert weighted == verification.choose_threshold(*repeated, rule)


@given(pairs_with_ties(), st.sampled_from([0.0, 0.25, 0.6, 1.0, 2.0]))
def test_summary_agrees_with_the_single_functions(pairs: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    cells = verification.confusion(*pairs, threshold)
    expected = {
        "accuracy": cells.accuracy,
        "precision": cells.precision,
        "recall": cells.recall,
        "f1": cells.f1,
        "far": cells.far,
        "frr": cells.frr,
        "auc": verification.auc(*pairs),
        "average_precision": verification.average_precision(*pairs),
        "eer": verification.eer(*pairs),
        "tar_at_far_0.1": verification.tar_at_far(*pairs, 0.1),
        "tar_at_far_0.0001": verification.tar_at_far(*pairs, 0.0001),
    }
    assert verification.summary(*pairs, threshold, fars=(1e-1, 1e-4)) == expected
    assert SortedPairs(*pairs).summary(threshold, fars=(1e-1, 1e-4)) == expected


def test_order_of_pairs_changes_nothing_even_with_weights() -> None:
    distances, same = random_pairs(0)
    generator = np.random.default_rng(1)
    weights = generator.integers(0, 4, len(distances))
    shuffled = generator.permutation(len(distances))
    assert verification.summary(distances[shuffled], same[shuffled], 0.9, weights=weights[shuffled]) == (
        verification.summary(distances, same, 0.9, weights=weights)
    )


def test_rates_without_a_denominator() -> None:
    only_same = Confusion(tp=0, fp=0, tn=0, fn=3)
    assert (only_same.precision, only_same.f1, only_same.frr) == (0, 0, 1)
    assert np.isnan(only_same.far)
    only_different = Confusion(tp=0, fp=1, tn=1, fn=0)
    assert np.isnan(only_different.recall)
    assert np.isnan(only_different.frr)
    assert np.isnan(Confusion(0, 0, 0, 0).accuracy)


def test_identical_photos_leave_no_threshold_that_accepts_none_but_a_negative_one() -> None:
    distances, same = np.array([0.0, 0.5]), np.array([False, True])
    assert verification.choose_threshold(distances, same, "far", 0.0) == -1


@pytest.mark.parametrize(
    ("distances", "same", "weights", "message"),
    [
        ([0.1, 0.2], [True, True], None, "no pair of different"),
        ([0.1, 0.2], [False, False], None, "no pair of same"),
        ([0.1, 0.2], [True, False], [1, 0], "no pair of different"),
        ([0.1, np.nan], [True, False], None, "finite"),
        ([0.1, -0.2], [True, False], None, "not negative"),
        ([0.1, 0.2], [True, False], [1, -1], "weights"),
        ([0.1, 0.2], [True], None, "expected one shape"),
        ([], [], None, "P > 0"),
    ],
)
def test_pairs_that_cannot_be_judged(distances: list, same: list, weights: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        verification.summary(
            np.array(distances), np.array(same), 0.5, weights=None if weights is None else np.array(weights)
        )


@pytest.mark.parametrize(
    ("rule", "target", "message"),
    [
        ("far", None, "needs a share"),
        ("far", 1.5, "1.5"),
        ("f1", 0.1, "no effect"),
        ("best", None, "f1, accuracy"),
    ],
)
def test_rules_that_a_user_got_wrong(rule: ThresholdRule, target: float | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        verification.choose_threshold(DISTANCES, IS_SAME, rule, target)
