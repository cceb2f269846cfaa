"""Tables of methods: a row says what a method is called and does, and where its code lies, which is loaded when used.

A family of methods is a MethodTable of rows. A new method is one file and one row: --help, the documents and the
contract tests come from the tables. A method's settings are the keyword-only arguments of its function, with their
types and defaults; texts like `laplacian.threshold=80` are checked against them.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from siamclip.cli.coercion import from_text
from siamclip.errors import UserError, suggestion

MethodSettings = dict[str, dict[str, Any]]  # method -> setting -> value


@dataclass(frozen=True)
class Method:
    """A row. `does`: one line, for people who choose. `needs`: what it reads, in its table's words."""

    name: str
    target: str  # "module:function"
    does: str
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # names that it had before

    def load(self) -> Callable[..., Any]:
        """Its function."""
        return load_target(self.target)

    def settings(self) -> dict[str, inspect.Parameter]:
        """Setting -> parameter (default and annotation)."""
        return keyword_arguments(self.target)


Row = TypeVar("Row", bound=Method)


class MethodTable(Mapping[str, Row], Generic[Row]):
    """Name -> row, in the order of the rows; a method is found by its aliases too.

    `example`: an assignment of a setting, shown where one has the wrong form. `groups`: further names that `chosen`
    takes -> whether a row is meant. `group_aliases`: names that groups had before -> their names. `word`: what people
    call a row. `listing`: where to read the names, for a table that is too long for an error.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        example: str = "",
        groups: Mapping[str, Callable[[Row], bool]] | None = None,
        group_aliases: Mapping[str, str] | None = None,
        word: str = "method",
        listing: str = "",
    ) -> None:
        self.word = word
        self._rows = {row.name: row for row in rows}
        self._names = {alias: row.name for row in self._rows.values() for alias in (row.name, *row.aliases)}
        self.example = example
        self.groups = dict(groups or {})
        self.group_aliases = dict(group_aliases or {})
        self.listing = listing or f"there are {', '.join([*self._rows, *self.groups])}"

    def __getitem__(self, name: str) -> Row:
        return self._rows[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def chosen(self, names: Iterable[str], setting: str) -> list[Row]:
        """Rows by the names of methods or groups, one by one or with commas; in the table's order, none twice.

        Raises UserError for `setting`, with the nearest name, or for none.
        """
        wanted: set[str] = set()
        for given in (name for text in names for name in text.replace(",", " ").split()):
            name = self.group_aliases.get(given, given)
            if name in self.groups:
                wanted |= {row.name for row in self.values() if self.groups[name](row)}
            else:
                wanted.add(self.one(name, setting).name)
        if not wanted:
            raise UserError(setting, f"names no {self.word}", self.listing)
        return [row for row in self.values() if row.name in wanted]

    def one(self, name: str, setting: str) -> Row:
        """The row of this name. Raises UserError for `setting`, with the nearest name."""
        if name not in self._names:
            hint = suggestion(name, [*self, *self.groups], self.listing)
            raise UserError(setting, f"no such {self.word}", hint, name)
        return self[name]

    def parse(self, assignments: Iterable[str], setting: str = "set") -> MethodSettings:
        """Method -> setting -> value, of texts `method.setting=value`. Raises UserError, with the nearest name."""
        parsed: MethodSettings = {}
        for text in assignments:
            target, equals, value = text.partition("=")
            name, dot, key = target.strip().partition(".")
            if not equals or not dot:
                raise UserError(setting, f"must have the form method.setting=value, as in {self.example}", value=text)
            if name not in self._names:
                raise UserError(setting, f"there is no method {name!r}", suggestion(name, self), text)
            parameters = self[name].settings()
            if key not in parameters:
                known = f"(it has: {', '.join(parameters) or 'none'})"
                hint = suggestion(key, parameters)
                problem = f"{name} has no setting {key!r}" + (f"; {hint} {known}" if hint else f" {known}")
                raise UserError(setting, problem, value=text)
            try:
                given = from_text(value.strip(), parameters[key].annotation)
            except ValueError as error:
                raise UserError(setting, f"the value {error}", value=text) from None
            parsed.setdefault(self[name].name, {})[key] = given
        return parsed


def effective(methods: Iterable[Method], given: Mapping[str, Mapping[str, Any]]) -> MethodSettings:
    """All settings of these methods: the defaults, and what was given."""
    return {
        method.name: {key: parameter.default for key, parameter in method.settings().items()}
        | dict(given.get(method.name, {}))
        for method in methods
    }


def load_target(target: str) -> Callable[..., Any]:
    """The function behind "module:name"."""
    module, name = target.split(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def keyword_arguments(target: str) -> dict[str, inspect.Parameter]:
    """Name -> parameter of the keyword-only arguments of the function behind "module:name"."""
    parameters = inspect.signature(load_target(target), eval_str=True).parameters
    return {name: given for name, given in parameters.items() if given.kind is inspect.Parameter.KEYWORD_ONLY}


def check_setting(name: str, value: float, lowest: float, highest: float) -> None:
    """Raises UserError for a `method.setting` outside [lowest, highest]."""
    if not lowest <= value <= highest:  # written so that NaN fails too
        raise UserError("set", f"must be in [{lowest:g}, {highest:g}]", value=f"{name}={value}")


def shown(value: Any) -> str:
    """A setting's value as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(value) or "none" if isinstance(value, tuple) else str(value)
