"""Settings of methods by text: `laplacian.threshold=80`, checked against the arguments of the method's function."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from siamclip.errors import UserError, suggestion

MethodSettings = dict[str, dict[str, Any]]


def parse(
    assignments: Iterable[str],
    names: Collection[str],
    settings_of: Callable[[str], Mapping[str, inspect.Parameter]],
    example: str,
) -> MethodSettings:
    """Method -> setting -> value, of texts `method.setting=value`. Raises UserError, with the nearest name.

    `names`: of the methods that exist. `example`: an assignment to show where one has the wrong form.
    """
    parsed: MethodSettings = {}
    for text in assignments:
        target, equals, value = text.partition("=")
        name, dot, setting = target.strip().partition(".")
        if not equals or not dot:
            raise UserError(f"--set {text}: must have the form method.setting=value, as in {example}")
        if name not in names:
            raise UserError(f"--set {text}: there is no method {name!r}{_nearest(name, names)}")
        parameters = settings_of(name)
        if setting not in parameters:
            known = ", ".join(parameters) or "none"
            raise UserError(
                f"--set {text}: {name} has no setting {setting!r}{_nearest(setting, parameters)} (it has: {known})"
            )
        parsed.setdefault(name, {})[setting] = _value(text, value.strip(), parameters[setting].annotation)
    return parsed


def check_setting(name: str, value: float, lowest: float, highest: float) -> None:
    """Raises UserError for a `method.setting` outside [lowest, highest]."""
    if not lowest <= value <= highest:  # written so that NaN fails too
        raise UserError(f"--set {name}={value}: must be in [{lowest:g}, {highest:g}]")


def _value(assignment: str, text: str, annotation: Any) -> Any:
    """The text in the type that the function declares."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        allowed = typing.get_args(annotation)
    else:
        allowed = (annotation,)
    if type(None) in allowed and text.lower() in ("none", "null", ""):
        return None
    for kind in allowed:
        if kind is bool and text.lower() in ("true", "false", "yes", "no"):
            return text.lower() in ("true", "yes")
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
        if typing.get_origin(kind) is tuple:
            return tuple(_list(assignment, text))
        if typing.get_origin(kind) is typing.Literal and text in typing.get_args(kind):
            return text
        if kind is str:
            return text
    raise UserError(f"--set {assignment}: the value must be {_described(allowed)}")


def _list(assignment: str, text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(item) for item in json.loads(text)]
        except ValueError as error:
            raise UserError(f'--set {assignment}: is no JSON list, as ["a", "b"] is ({error})') from None
    return [part.strip() for part in text.split(",") if part.strip()]


def _described(allowed: tuple[Any, ...]) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
    parts = []
    for kind in allowed:
        options = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
        parts += list(map(str, options)) or [names.get(kind, str(kind))]
    return " or ".join(parts)


def _nearest(name: str, names: Iterable[str]) -> str:
    hint = suggestion(name, names)
    return f"; {hint}" if hint else ""
