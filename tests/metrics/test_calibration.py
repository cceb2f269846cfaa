"""Calibration against scikit-learn, against known odds, and the laws of a probability."""

from __future__ import annotations

import json
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.errors import UserError
from siamclip.metrics.calibration import Isotonic, Method, Platt, calibration_from_dict, fit_calibration, reliability

METHODS: tuple[Method, ...] = ("platt", "isotonic")
GRID = np.linspace(0, 2, 401)


def gaussian_pairs(seed: int, same: int, different: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances N(0.7, 0.2) and N(1.1, 0.2): by Bayes the log odds of "same" are 10 (0.9 - d) at equal
    shares.
    """
    generator = np.random.default_rng(seed)
    distances = np.append(generator.normal(0.7, 0.2, same), generator.normal(1.1, 0.2, different))
    return distances, np.arange(same + different) < same


def true_probability(distances: np.ndarray, prior: float) -> np.ndarray:
    return 1 / (1 + np.exp(-10 * (0.9 - distances)) * (1 - prior) / prior)


@pytest.mark.parametrize("seed", range(3))
def test_platt_equals_scikit_learn(seed: int) -> None:
    from sklearn.calibration import _sigmoid_calibration

    distances, same = gaussian_pairs(seed, 150, 300)
    ours = fit_calibration(distances, same, "platt")
    assert isinstance(ours, Platt)
    # Theirs is the slope on a score that rises with "same"; -d is that score.
    slope, offset = _sigmoid_calibration(-distances, same)
    assert [ours.slope, ours.offset] == pytest.approx([-slope, offset], rel=1e-3)


def test_isotonic_equals_naive_pooling() -> None:
    distances = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    same = np.array([True, True, False, True, True, False, False, False])
    fitted = fit_calibration(distances, same, "isotonic")
    # .3 .4 .5 violate the order and are pooled to 2/3; 1 and 0 become 5/6 and 1/6: odds 5 : 1 and 1 : 5.
    expected = [5 / 6, 5 / 6, 2 / 3, 2 / 3, 2 / 3, 1 / 6, 1 / 6, 1 / 6]
    assert fitted.probability(distances) == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("prior", [0.5, 0.05])
def test_recovers_the_true_probability_under_a_prior(method: Method, prior: float) -> None:
    distances, same = gaussian_pairs(0, 20_000, 20_000)
    fitted = fit_calibration(distances, same, method, prior=prior)
    middle = np.linspace(0.5, 1.3, 33)
    assert np.abs(fitted.probability(middle) - true_probability(middle, prior)).mean() < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_prior_equal_to_the_share_found_changes_nothing(method: Method) -> None:
    distances, same = gaussian_pairs(1, 50, 150)
    plain, weighted = (fit_calibration(distances, same, method, prior=prior) for prior in (None, 0.25))
    np.testing.assert_allclose(weighted.probability(GRID), plain.probability(GRID), atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
@given(
    st.lists(st.integers(0, 8), min_size=2, max_size=30),
    st.data(),
    st.sampled_from([None, 0.5, 0.01, 0.999]),
)
def test_laws(method: Method, steps: list[int], data: st.DataObject, prior: float | None) -> None:
    rest = data.draw(st.lists(st.booleans(), min_size=len(steps) - 2, max_size=len(steps) - 2))
    fitted = fit_calibration(np.array(steps) / 4, np.array([True, False, *rest]), method, prior)
    probability = fitted.probability(GRID)
    assert (np.diff(probability) <= 1e-12).all()
    assert ((probability > 0) & (probability < 1)).all()
    assert calibration_from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


@pytest.mark.parametrize("method", METHODS)
def test_separable_pairs_are_never_certain(method: Method) -> None:
    distances = np.append(np.linspace(0.1, 0.5, 50), np.linspace(1.0, 1.4, 50))
    fitted = fit_calibration(distances, np.arange(100) < 50, method)
    probability = fitted.probability(np.array([0.1, 0.5, 0.75, 1.0, 1.4]))
    assert np.isfinite(probability).all()
    assert 0.9 < probability[1] < 1
    assert probability[2] == pytest.approx(0.5, abs=0.01)
    assert 0 < probability[3] < 0.1


def test_isotonic_bounds_are_those_of_one_more_pair_of_each_class() -> None:
    fitted = fit_calibration(np.array([0.1, 0.2, 0.3, 1.0]), np.array([True, True, True, False]), "isotonic")
    assert fitted.probability(np.array([0.0, 2.0])) == pytest.approx([4 / 5, 1 / 3])


@pytest.mark.parametrize("prior", [None, 0.2])
def test_worse_than_chance_gives_a_constant_not_a_rising_curve(prior: float | None) -> None:
    distances, same = gaussian_pairs(2, 300, 300)
    fitted = fit_calibration(distances, ~same, "platt", prior)
    assert isinstance(fitted, Platt)
    assert fitted.slope == 0
    assert fitted.probability(np.array([0.3])) == pytest.approx(0.5 if prior is None else prior, abs=0.01)


def test_arguments_that_do_not_fit() -> None:
    pairs = np.array([0.1, 0.9]), np.array([True, False])
    with pytest.raises(ValueError, match="both same and different"):
        fit_calibration(pairs[0], np.array([True, True]), "platt")
    with pytest.raises(ValueError, match="one \\(P,\\)"):
        fit_calibration(np.array([0.1, np.nan]), pairs[1], "platt")
    with pytest.raises(UserError, match="prior is 1"):
        fit_calibration(*pairs, "platt", prior=1)
    with pytest.raises(UserError, match="platt, isotonic"):
        fit_calibration(*pairs, cast(Method, "beta"))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"method": "beta"},
        {"method": "platt", "slope": -1.0, "offset": 0.0},
        {"method": "platt", "slope": float("nan"), "offset": 0.0},
        {"method": "platt", "slope": "steep", "offset": 0.0},
        {"method": "isotonic", "distances": [], "probabilities": []},
        {"method": "isotonic", "distances": [0.1, 0.2], "probabilities": [0.5]},
        {"method": "isotonic", "distances": [0.1, 0.2], "probabilities": [0.5, 0.6]},
        {"method": "isotonic", "distances": [0.2, 0.1], "probabilities": [0.6, 0.5]},
        {"method": "isotonic", "distances": [0.1], "probabilities": [1.5]},
    ],
)
def test_damaged_calibration_is_refused(stored: dict) -> None:
    with pytest.raises(UserError, match="damaged"):
        calibration_from_dict(stored)


def test_one_knot_is_level() -> None:
    assert Isotonic((0.5,), (0.3,)).probability(np.array([0.0, 2.0])) == pytest.approx([0.3, 0.3])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(1, 12))
def test_reliability_equals_naive_loop(pairs: list[tuple[float, bool]], bins: int) -> None:
    found = reliability(np.array([p for p, _ in pairs]), np.array([y for _, y in pairs]), bins)
    members: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for probability, outcome in pairs:
        members[min(int(probability * bins), bins - 1)].append((probability, outcome))
    ece = 0.0
    for index, inside in enumerate(members):
        assert found.count[index] == len(inside)
        if not inside:
            assert np.isnan(found.predicted[index])
            continue
        predicted, observed = np.mean([p for p, _ in inside]), np.mean([y for _, y in inside])
        assert (found.predicted[index], found.observed[index]) == pytest.approx((predicted, observed))
        ece += len(inside) / len(pairs) * abs(predicted - observed)
    assert found.ece == pytest.approx(ece)
    assert len(found.edges) == bins + 1


def test_calibrated_probabilities_are_reliable_and_squeezed_ones_are_not() -> None:
    distances, same = gaussian_pairs(3, 20_000, 20_000)
    honest = true_probability(distances, 0.5)
    assert reliability(honest, same).ece < 0.015
    # Pulled half-way to 1/2, every prediction is off by half its distance from 1/2.
    assert reliability((honest + 0.5) / 2, same).ece == pytest.approx(np.abs(honest - 0.5).mean() / 2, abs=0.015)


@pytest.mark.parametrize(
    ("probabilities", "outcomes"), [([0.5], [True, False]), ([], []), ([1.2], [True]), ([np.nan], [True])]
)
def test_reliability_refuses(probabilities: list, outcomes: list) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        reliability(np.array(probabilities), np.array(outcomes))
