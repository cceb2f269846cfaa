"""What the steps of cleaning say on the terminal."""

from __future__ import annotations

from rich.table import Column, Table

from siamclip.cleaning.method_table import METHODS
from siamclip.methods import shown

SHOWN = 10  # names in a list; files hold them all


def cleaning_methods_table() -> Table:
    """All methods with their settings."""
    table = Table("family", Column("method", no_wrap=True), "looks for", "default", Column("settings", no_wrap=True))
    family = ""
    for method in METHODS.values():
        settings = "\n".join(f"{name}={shown(parameter.default)}" for name, parameter in method.settings().items())
        default = "yes" if method.default else "no"
        table.add_row("" if method.family == family else method.family, method.name, method.does, default, settings)
        family = method.family
    return table
