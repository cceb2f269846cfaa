"""Values in the type that an annotation declares: of YAML files and of texts such as the 80 of laplacian.threshold=80.

Flags are read by tyro. Types are int, float, bool, str, None, Literal, tuple[str, ...] and their unions.
"""

from __future__ import annotations

import json
import types
import typing
from typing import Any


def coerced(value: Any, annotation: Any, none: str = "none") -> Any:
    """The value in the declared type; raises ValueError ("must be ...", None called `none`) for one of another type.

    A whole number does for a float, and a list for a tuple. Texts do for floats alone: YAML 1.1 reads 1e-6 as a text.
    """
    import msgspec

    strict = not (isinstance(value, str) and float in _members(annotation))
    try:
        return msgspec.convert(value, annotation, strict=strict)
    except msgspec.ValidationError:
        raise ValueError(f"must be {expected(annotation, none)}") from None


def from_text(text: str, annotation: Any) -> Any:
    """What a text on the command line stands for: numbers and switches as in YAML, lists with commas or as JSON.

    Raises ValueError as `coerced` does.
    """
    members = _members(annotation)
    if type(None) in members and text.lower() in ("none", "null", ""):
        return None
    if any(typing.get_origin(member) is tuple for member in members):
        return coerced(_list(text), annotation)
    if {int, float, bool}.isdisjoint(members):
        return coerced(text, annotation)
    import yaml

    try:
        return coerced(yaml.safe_load(text), annotation)
    except yaml.YAMLError:
        raise ValueError(f"must be {expected(annotation)}") from None


def expected(annotation: Any, none: str = "none") -> str:
    """The declared type in words: "a whole number or none"."""
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): none}
    parts: list[str] = []
    for member in _members(annotation):
        if typing.get_origin(member) is typing.Literal:
            parts += map(str, typing.get_args(member))
        elif typing.get_origin(member) is tuple:
            parts.append("a list of names")
        else:
            parts.append(names[member])
    return " or ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _list(text: str) -> list[Any]:
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        items: list[Any] = json.loads(text)
    except ValueError as error:
        raise ValueError(f'is no JSON list, as ["a", "b"] is ({error})') from None
    return items
