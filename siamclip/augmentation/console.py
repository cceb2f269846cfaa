"""What augment.py says on the terminal of the images that it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.table import Column, Table

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.method_table import MIXERS, MODES
from siamclip.cli.console import say
from siamclip.methods import shown

_SHOWN = 10  # names in a list


def modes_and_mixers_table() -> Table:
    """All modes of `fuse` and methods of `mix` with their settings."""
    table = Table("command", Column("method", no_wrap=True), "gives", Column("settings", no_wrap=True))
    for command, rows in (("fuse", MODES), ("mix", MIXERS)):
        for i, row in enumerate(rows.values()):
            settings = "\n".join(f"{key}={shown(given.default)}" for key, given in row.settings().items())
            table.add_row("" if i else command, row.name, row.does, settings)
    return table


def made_table(images: Iterable[MadeImage]) -> Table:
    """Images kept and rejected, a row a method and a column a reason."""
    counts = Counter((image.method, image.rejected) for image in images)
    methods = sorted({method for method, _ in counts})
    reasons = sorted({reason for _, reason in counts} - {""})
    table = Table("method", *(Column(name, justify="right") for name in ("kept", *reasons)))
    for method in methods:
        table.add_row(method, *(f"{counts[method, reason]:,}" for reason in ("", *reasons)))
    return table


def say_left_out(console: Console, what: str, reasons: Mapping[str, str]) -> None:
    """Photos with the reason of each, the first few of them."""
    if reasons:
        say(console, f"{what}: {len(reasons):,}")
        say(console, *(f"  {path}: {reason}" for path, reason in list(reasons.items())[:_SHOWN]))
        if len(reasons) > _SHOWN:
            say(console, f"  ... and {len(reasons) - _SHOWN:,} more")
