"""metrics.json is JSON, whatever could not be measured."""

from __future__ import annotations

from siamclip.evaluation.report.metrics_json import json_safe


def test_json_has_null_for_nan() -> None:
    assert json_safe({"a": [float("nan"), 1.0], "b": (2,)}) == {"a": [None, 1.0], "b": [2]}
