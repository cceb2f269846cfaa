"""What the steps of cleaning say on the terminal."""

from __future__ import annotations

from rich.table import Column, Table

from siamclip.cleaning.method_table import METHODS
from siamclip.cli.console import new_console
from siamclip.methods import shown

SHOWN = 10  # names in a list; files hold them all


def say_methods() -> None:
    """All methods with their settings, as a table."""
    table = Table("family", Column("method", no_wrap=True), "looks for", "default", Column("settings", no_wrap=True))
    family = ""
    for method in METHODS.values():
        settings = "\n".join(f"{name}={shown(parameter.default)}" for name, parameter in method.settings().items())
        default = "yes" if method.default else "no"
        table.add_row("" if method.family == family else method.family, method.name, method.does, default, settings)
        family = method.family
    new_console().print(table)
