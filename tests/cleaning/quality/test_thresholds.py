from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.quality.thresholds import Limit, cut_offs, findings_beyond
from siamclip.errors import UserError
from siamclip.methods import load_target
from tests.cleaning.gray_photos import photos

LOW = Limit("threshold", 100.0, "blurred", "below", 0.0)
HIGH = Limit("highest", 200.0, "too bright", "above", 0.0)
JUDGING = [
    name
    for name, method in METHODS.items()
    if method.family in ("size", "sharpness", "exposure") and name != "object_area"
]


def judge(values: list[float], limits: list[Limit] | None = None, **other: object) -> Findings:
    settings: dict = {"percentile": None, "max_share": 1 / 3} | other
    table = photos({"value": values})
    return findings_beyond(table, "method", "value", np.array(values), limits or [LOW], **settings)


def test_reason_holds_number_threshold_and_rank() -> None:
    found = judge([43.1, *range(101, 200)])
    assert found.reason == ["blurred: value 43.1, below 100; lower than 99% of the photos"]
    assert found.score.tolist() == [43.1] and found.flagged.all() and not found.keep.any()
    assert found.notes["judged"] == 100 and found.notes["share"] == 0.01
    assert "questioned" not in found.notes


def test_a_limit_itself_is_good() -> None:
    assert judge([100.0, 101.0, 99.0, 150.0]).rows.tolist() == [2]


def test_number_and_threshold_never_read_the_same() -> None:
    assert judge([99.99996, 200.0, 300.0, 400.0]).reason[0].startswith("blurred: value 99.99996, below 100;")


def test_no_photo_is_lower_than_all() -> None:
    reason = judge([1.0] + [500.0] * 9999).reason[0]
    assert reason.endswith("lower than 99.9% of the photos")
    assert judge([1.0, 1.0, 1.0], max_share=1).reason == ["blurred: value 1, below 100"] * 3


def test_a_threshold_that_flags_too_many_is_questioned() -> None:
    values = [float(value) for value in range(50, 150)]
    found = judge(values)
    assert len(found) == 50 and found.flagged.all() and found.keep.all()
    assert found.notes["questioned"] == (
        "threshold 100 flags 50% of the photos (50 of 100), more than 33%, so none is proposed for removal; "
        "threshold 55 would flag at most 5%"
    )
    assert len(judge(values, [Limit("threshold", 55.0, "blurred", "below")])) == 5
    assert not judge(values, max_share=0.5).keep.any()
    assert "questioned" not in judge(values, max_share=0.5).notes


def test_percentile_flags_the_worst_and_asks_nothing() -> None:
    values = [float(value) for value in range(100)]
    found = judge(values, percentile=40)
    assert found.rows.tolist() == list(range(40)) and not found.keep.any() and "questioned" not in found.notes
    assert found.reason[3] == "blurred: value 3, among the lowest 40% (below 40); lower than 96% of the photos"
    both = judge(values, [LOW, HIGH], percentile=10)
    assert both.rows.tolist() == [0, 1, 2, 3, 4, 95, 96, 97, 98, 99]
    assert "among the highest 5% (above 94)" in both.reason[-1]


def test_unreadable_archived_and_unknown_photos_are_not_judged() -> None:
    values = np.array([1.0, 2.0, np.nan, np.nan, 500.0, 600.0, 700.0])
    table = photos({"value": values}, errors={3: "damaged"}, archived=[1])
    found = findings_beyond(table, "method", "value", values, [LOW], None, 1 / 3)
    assert found.rows.tolist() == [0] and found.notes["judged"] == 4


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_nothing_to_judge(values: list[float]) -> None:
    for percentile in (None, 5.0):
        found = judge(values, percentile=percentile)
        assert len(found) == 0 and found.notes == {"judged": 0}


@given(
    st.lists(st.integers(0, 20).map(float), max_size=60),
    st.floats(0.1, 99.9),
    st.booleans(),
)
def test_percentile_equals_a_naive_loop(values: list[float], percentile: float, both: bool) -> None:
    limits = [LOW, HIGH] if both else [LOW]
    found = judge(values, limits, percentile=percentile)
    beyond = int(percentile / 100 * len(values) / len(limits) + 1e-9)
    expected = {row for row, value in enumerate(values) if sum(other <= value for other in values) <= beyond}
    if both:
        expected |= {row for row, value in enumerate(values) if sum(other >= value for other in values) <= beyond}
    assert found.rows.tolist() == sorted(expected)
    assert len(found) <= percentile / 100 * len(values) + 1e-9


@given(st.lists(st.floats(0, 300), min_size=1, max_size=60), st.floats(0, 1))
def test_absolute_findings_equal_a_naive_loop(values: list[float], max_share: float) -> None:
    found = judge(values, [LOW, HIGH], max_share=max_share)
    expected = [row for row, value in enumerate(values) if value < 100 or value > 200]
    assert found.rows.tolist() == expected
    assert all(found.keep == (len(expected) / len(values) > max_share))
    assert all(
        ("too bright" in reason) == (values[row] > 200) for row, reason in zip(expected, found.reason, strict=True)
    )


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=80), st.floats(0.01, 1))
def test_the_suggested_threshold_keeps_its_promise(values: list[float], share: float) -> None:
    order = np.sort(values)
    for limits in ([LOW], [HIGH], [LOW, HIGH]):
        bounds = cut_offs(order, limits, share)
        flagged = np.zeros(len(order), bool)
        for limit, bound in zip(limits, bounds, strict=True):
            flagged |= limit.broken_by(order, bound)
        assert flagged.sum() <= share * len(order) + 1e-6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"percentile": 0.0}, "percentile=0: must be between 0 and 100"),
        ({"percentile": 100.0}, "percentile=100"),
        ({"percentile": float("nan")}, "percentile=nan"),
        ({"max_share": 1.5}, "max_share=1.5: must be from 0 to 1"),
        ({"max_share": float("nan")}, "max_share=nan"),
    ],
)
@pytest.mark.parametrize("name", JUDGING)
def test_settings_out_of_range(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=f"set {name}.{message}".replace(".", r"\.")):
        load_target(METHODS[name].target)(_table([1.0]), **settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("laplacian", {"threshold": -1.0}, "set laplacian.threshold=-1: must be 0 or more"),
        ("laplacian", {"threshold": float("nan")}, "threshold=nan"),
        ("laplacian", {"threshold": float("inf")}, "threshold=inf"),
        ("fft_ratio", {"threshold": 101.0}, "must be from 0 to 100"),
        ("under_exposed", {"threshold": 1.5}, "must be from 0 to 1"),
        ("intensity", {"minimum": 210.0}, "intensity.minimum=210: must not exceed maximum=200"),
        ("aspect_ratio", {"minimum": 4.0}, "aspect_ratio.minimum=4: must not exceed maximum=3"),
        ("too_small", {"min_width": 0}, "too_small.min_width=0: must be at least 1"),
    ],
)
def test_thresholds_out_of_range(name: str, settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_target(METHODS[name].target)(_table([1.0]), **settings)


@pytest.mark.parametrize("name", JUDGING)
def test_every_method_follows_the_contract(name: str) -> None:
    """Own name, float settings with `percentile` and `max_share`, and a column for each scorer it needs."""
    settings = METHODS[name].settings()
    assert {"percentile", "max_share"} <= settings.keys()
    assert settings["percentile"].default is None and settings["max_share"].default == 1 / 3
    found = load_target(METHODS[name].target)(_table([1.0, 2.0, 3.0, 4.0]), percentile=50.0)
    assert found.method == name and len(found) == 2 and all(found.reason)
    assert found.rows.dtype == np.int64 and found.score.dtype == np.float64


def _table(values: list[float]) -> PhotoTable:
    names = (
        "laplacian_variance fft_ratio spectrum_entropy sobel_variance canny_density roberts_density prewitt_density "
        "dark_share bright_share mean_intensity contrast entropy"
    )
    columns: dict[str, object] = {name: np.array(values) for name in names.split()}
    return photos({**columns, "width": np.array(values, int), "height": np.full(len(values), 1000)})
