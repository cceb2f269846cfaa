"""From distances to answers, against the definitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.errors import UserError
from siamclip.metrics.calibration import Platt, fit_calibration
from siamclip.prediction.decision import DOUBTFUL_BAND, DecisionRule

distances = st.floats(0, 2)


@given(distances, distances, st.floats(0, 50), st.floats(-20, 20), st.floats(0.5, 1))
def test_confidence_is_the_probability_of_the_answer(
    distance: float, threshold: float, slope: float, offset: float, doubt_below: float
) -> None:
    rule = DecisionRule(threshold, "", Platt(slope, offset), doubt_below)
    comparison = rule.compare(distance)
    same = 1 / (1 + math.exp(slope * distance + offset))
    assert comparison.is_same == (distance <= threshold)
    assert comparison.confidence == pytest.approx(same if comparison.is_same else 1 - same, abs=1e-12)
    assert (rule.answer(comparison) == "near the threshold") == (comparison.confidence < doubt_below)
    assert rule.probability_same(distance) == pytest.approx(same, rel=1e-9)


def test_without_a_calibration_there_is_no_confidence_but_a_band() -> None:
    rule = DecisionRule(0.5, "", None, 0.75)
    assert math.isnan(rule.compare(0.1).confidence)
    edge = 0.5 * DOUBTFUL_BAND
    answers = {d: rule.answer(rule.compare(d)) for d in (0.4, 0.5 - edge + 1e-9, 0.5, 0.5 + edge - 1e-9, 0.6)}
    assert list(answers.values()) == ["same", *["near the threshold"] * 3, "different"]


STORED: dict[str, Any] = {
    "threshold": {"value": 0.4, "rule": "f1", "chosen_on": "validation"},
    "calibration": {"method": "platt", "slope": 10.0, "offset": -4.0},
}


def test_a_checkpoint_brings_its_threshold_and_calibration() -> None:
    rule = DecisionRule.from_checkpoint(STORED, None, 0.75)
    assert (rule.threshold, rule.origin, rule.calibration) == (0.4, "f1 on validation", Platt(10.0, -4.0))
    assert rule.probability_same(0.4) == pytest.approx(0.5)


def test_a_given_threshold_keeps_the_calibration() -> None:
    rule = DecisionRule.from_checkpoint(STORED, 0.7, 0.75)
    assert (rule.threshold, rule.origin) == (0.7, "as given")
    assert rule.probability_same(0.5) == DecisionRule.from_checkpoint(STORED, None, 0.75).probability_same(0.5)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_fitted_calibration_survives_the_checkpoint(method: Any) -> None:
    chance = np.random.default_rng(0)
    fitted = np.concatenate([chance.uniform(0, 0.6, 50), chance.uniform(0.4, 1.2, 50)])
    calibration = fit_calibration(fitted, np.arange(100) < 50, method)
    rule = DecisionRule.from_checkpoint(STORED | {"calibration": calibration.to_dict()}, None, 0.75)
    expected = calibration.probability(np.array([0.45]))[0]
    assert rule.probability_same(0.45) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "damage",
    [
        {"threshold": None},
        {"threshold": {"value": math.nan, "rule": "f1", "chosen_on": "validation"}},
        {"threshold": {"value": 3, "rule": "f1", "chosen_on": "validation"}},
        {"threshold": {"value": "x", "rule": "f1", "chosen_on": "validation"}},
        {"threshold": 0.4},
        {"calibration": {"method": "platt"}},
    ],
)
def test_a_checkpoint_without_a_usable_threshold_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        DecisionRule.from_checkpoint(STORED | damage, None, 0.75)
