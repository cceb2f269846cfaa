"""Settings of methods on the command line: every type, every error names what is wrong."""

from __future__ import annotations

import pytest

from siamclip import methods
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError
from siamclip.methods import Method, MethodTable, effective


def example(
    photos: object,
    *,
    threshold: float = 100.0,
    number: int = 3,
    both: bool = False,
    boxes: str | None = None,
    percentile: float | None = None,
    names: tuple[str, ...] = (),
) -> None:
    """Stands for a method."""


TABLE = MethodTable([Method("example", "unused:example", "nothing", aliases=("old_name",))], "example.number=5")


@pytest.fixture(autouse=True)
def one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "load_target", {"unused:example": example}.__getitem__)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("threshold=80", 80.0),
        ("threshold=1e-3", 0.001),
        ("number=7", 7),
        ("both=true", True),
        ("both=No", False),
        ("boxes=a/b=c.csv", "a/b=c.csv"),
        ("boxes=none", None),
        ("percentile=5", 5.0),
        ("percentile=null", None),
        ("names=a, b", ("a", "b")),
        ('names=["a,b", "c"]', ("a,b", "c")),
    ],
)
def test_values_come_in_the_type_that_the_method_declares(text: str, value: object) -> None:
    name = text.split("=", maxsplit=1)[0]
    parsed = TABLE.parse([f"example.{text}"])["example"][name]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("threshold=80", "must have the form method.setting=value"),
        ("example.threshold", "must have the form method.setting=value"),
        ("exmple.threshold=80", "did you mean example?"),
        ("example.treshold=80", "did you mean threshold?"),
        ("example.number=7.5", "must be a whole number"),
        ("example.threshold=high", "must be a number"),
        ("example.both=2", "must be true or false"),
        ("example.percentile=few", "must be a number or none"),
        ('example.names=["a"', "is no JSON list"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UserError) as error:
        TABLE.parse([text])
    assert f"set {text}: " in str(error.value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_the_effective_settings_are_the_defaults_and_what_was_given() -> None:
    settings = effective([TABLE["example"]], TABLE.parse(["example.number=7", "example.names=x"]))
    assert settings["example"] == {
        "threshold": 100.0, "number": 7, "both": False, "boxes": None, "percentile": None, "names": ("x",),
    }  # fmt: skip


def test_a_method_is_found_by_the_name_that_it_had_before() -> None:
    assert TABLE.parse(["old_name.number=7"]) == {"example": {"number": 7}}
    assert TABLE["old_name"].name == "example"
    assert [row.name for row in TABLE.chosen(["old_name, example"], "methods")] == ["example"]
    assert list(TABLE) == ["example"]


def test_no_method_is_an_error() -> None:
    with pytest.raises(UserError, match="methods: names no method; there are example"):
        TABLE.chosen([" , "], "methods")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["phas"], "methods phas: no such method; did you mean phash?"),
        (["zz"], "methods zz: no such method; python clean.py methods lists them"),
        ([","], "methods: names no method; python clean.py methods lists them"),
    ],
)
def test_a_long_table_is_not_listed_in_an_error(names: list[str], says: str) -> None:
    with pytest.raises(UserError) as error:
        METHODS.chosen(names, "methods")
    assert str(error.value) == says


def test_a_group_is_chosen_by_the_name_that_it_had_before() -> None:
    rows = [Method("one", "unused:example", "nothing"), Method("two", "unused:example", "nothing")]
    table = MethodTable(rows, groups={"first": lambda row: row.name == "one"}, group_aliases={"old_first": "first"})
    assert table.chosen(["old_first"], "methods") == table.chosen(["first"], "methods") == rows[:1]
