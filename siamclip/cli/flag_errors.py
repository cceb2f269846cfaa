"""Flags that do not parse, as errors of one line: tyro alone would print a framed box."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from siamclip.cli.coercion import expected
from siamclip.errors import UserError, suggestion

BESIDE_TYRO = ("config", "help")  # flags that are no settings


@contextmanager
def flag_errors(config_type: type, argv: Sequence[str]) -> Iterator[None]:
    """Around tyro.cli: raises UserError for the first flag or value of `argv` that tyro refuses."""
    # tyro's hook is private; requirements.txt pins the version, and the tests hold each kind of error to one line.
    from tyro import _errors as tyro_errors

    types = typing.get_type_hints(config_type)

    def refuse(event: tyro_errors.ParseErrorEvent) -> None:
        if isinstance(event, tyro_errors.UnrecognizedArgs):
            _refuse_unknown(event.tokens[0], argv, types)
        argument = getattr(event, "argument", None)
        if argument is None:
            return  # an event of another tyro, which tells it in its own way
        name = str(argument.field.intern_name)
        if isinstance(event, tyro_errors.BadValue):
            raise UserError(name, "a value is missing")
        if isinstance(event, tyro_errors.InvalidChoice):
            problem = f"must be {expected(types[name], none='None')}"
            raise UserError(name, problem, suggestion(event.value, event.choices), event.value)
        value = _last_value(name, argv) or "''"
        raise UserError(name, f"must be {expected(types[name], none='None')}", value=value)

    with tyro_errors.on_parse_error(refuse):
        yield


def _refuse_unknown(token: str, argv: Sequence[str], types: dict[str, object]) -> NoReturn:
    """Raise UserError for a token that is neither a flag nor the value of one."""
    if token.startswith("-") and token.strip("-"):
        flag = token.split("=", 1)[0]
        switches = [f"no_{name}" for name, kind in types.items() if kind is bool]
        close = difflib.get_close_matches(_setting(flag), [*types, *switches, *BESIDE_TYRO], n=1)
        remedy = f"did you mean `{close[0]}`?" if close else "`help` lists them"
        raise UserError("", f"{flag}: there is no such flag", remedy)
    for name, value in _given(argv):
        if value == token and types.get(name.removeprefix("no_")) is bool:
            raise UserError(name, "takes no value", f"leave it out: `{name}` or `{_opposite(name)}`", token)
    raise UserError(
        "", f"{token}: no flag takes this value", "a value with spaces needs quotes; `help` lists the flags"
    )


def _opposite(switch: str) -> str:
    return switch.removeprefix("no_") if switch.startswith("no_") else f"no_{switch}"


def _last_value(name: str, argv: Sequence[str]) -> str | None:
    """What stands behind the flag, where it is given last."""
    return next((value for flag, value in reversed(list(_given(argv))) if flag == name), None)


def _given(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """(setting, value) of every flag; None where nothing follows it."""
    for i, argument in enumerate(argv):
        if argument.startswith("--"):
            flag, equals, value = argument.partition("=")
            following = argv[i + 1] if i + 1 < len(argv) else None
            yield _setting(flag), value if equals else following


def _setting(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")
