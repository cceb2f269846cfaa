"""Values in the type that an annotation declares."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest

from siamclip.cli.coercion import coerced, expected, from_text


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("80", float, 80.0),
        (".5", float, 0.5),
        ("1e-6", float, 1e-6),
        ("-3", int, -3),
        ("yes", bool, True),
        ("False", bool, False),
        ("80", str, "80"),
        ("none", str, "none"),
        ("None", str | None, None),
        ("", float | None, None),
        ("null", tuple[str, ...] | None, None),
        ("a, b,", tuple[str, ...], ("a", "b")),
        ('["a,b"]', tuple[str, ...], ("a,b",)),
        ("", tuple[str, ...], ()),
        ("mean", Literal["mean", "max"], "mean"),
    ],
)
def test_a_text_becomes_a_value_of_the_declared_type(text: str, annotation: Any, value: object) -> None:
    found = from_text(text, annotation)
    assert found == value
    assert type(found) is type(value)


def test_what_is_no_number_is_a_float_still() -> None:
    assert math.isnan(from_text("nan", float))  # which ranges refuse
    assert from_text("inf", float) == math.inf


@pytest.mark.parametrize(
    ("text", "annotation", "says"),
    [
        ("7.5", int, "must be a whole number"),
        ("true", int, "must be a whole number"),
        ("true", float, "must be a number"),
        ("1", bool, "must be true or false"),
        ("none", int, "must be a whole number"),
        ("few", float | None, "must be a number or none"),
        ("a: b: c", float, "must be a number"),  # no YAML
        ("[1]", float, "must be a number"),
        ("mode", Literal["mean", "max", "sum"], "must be mean, max or sum"),
        ('["a"', tuple[str, ...], "is no JSON list"),
        ("[1]", tuple[str, ...], "must be a list of names"),
    ],
)
def test_a_text_of_another_type_is_refused(text: str, annotation: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_text(text, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [(True, int), (1.0, int), (1, bool), (5, str), ("5", int), (None, str), ("a", tuple[str, ...]), (["a"], str)],
)
def test_values_of_another_type_are_refused(value: object, annotation: Any) -> None:
    with pytest.raises(ValueError, match=f"must be {expected(annotation)}"):
        coerced(value, annotation)


def test_a_whole_number_does_for_a_float_and_a_list_for_a_tuple() -> None:
    assert type(coerced(3, float)) is float
    assert coerced(["a"], tuple[str, ...]) == ("a",)
