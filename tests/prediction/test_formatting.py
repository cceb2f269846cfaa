"""What answers look like when they are written down."""

from __future__ import annotations

import json
import math

from siamclip.metrics.calibration import Platt
from siamclip.prediction.decision import DecisionRule
from siamclip.prediction.formatting import answer_fields, as_json, basis_fields, basis_lines, pair_lines, percent

CALIBRATED = DecisionRule(0.4, "f1 on validation", Platt(20.0, -8.0), 0.75)
FIXED = DecisionRule(0.5, "fixed, not chosen on any data", None, 0.75)


def test_percent_never_claims_certainty() -> None:
    assert percent(1.0) == percent(0.99999) == "99.9%"
    assert percent(0.5) == "50.0%"
    assert percent(math.nan) == "not calibrated"


def test_a_clear_answer() -> None:
    lines = pair_lines(CALIBRATED, CALIBRATED.compare(0.1)).splitlines()
    assert [line.split() for line in lines] == [["answer", "same"], ["distance", "0.1000"], ["confidence", "99.8%"]]


def test_a_doubtful_answer_says_which_way_it_leans() -> None:
    assert "near the threshold: look yourself (rather the same)" in pair_lines(CALIBRATED, CALIBRATED.compare(0.39))
    assert "near the threshold: look yourself (rather different)" in pair_lines(FIXED, FIXED.compare(0.51))


def test_json_is_valid_where_there_is_no_confidence() -> None:
    text = as_json({"path": "京A1\n\x1b[0m.jpg"} | answer_fields(FIXED, FIXED.compare(0.1)) | basis_fields(FIXED, "m"))
    content = json.loads(text, parse_constant=lambda name: 1 / 0)
    assert content["confidence"] is None
    assert content["path"] == "京A1\n\x1b[0m.jpg"
    assert "京" in text
    assert "\x1b" not in text
    assert content["calibrated"] is False


def test_a_run_cannot_write_to_the_terminal() -> None:
    assert "\x1b" not in basis_lines(CALIBRATED, "run\x1b[2J")
    assert len(basis_lines(CALIBRATED, "run\nline").splitlines()) == 2
