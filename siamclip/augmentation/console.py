"""What augment.py says on the terminal of the images that it makes."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from siamclip.augmentation.catalogue import MIXERS, MODES, settings_of
from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output_folder import OutputFolder
from siamclip.cleaning.console import say
from siamclip.errors import printable
from siamclip.progress import duration

if TYPE_CHECKING:
    from siamclip.augmentation.fusion.run import FusionSummary

_SHOWN = 10  # names in a list


def methods_table() -> Table:
    """All modes of `fuse` and methods of `mix` with their settings."""
    table = Table("command", Column("method", no_wrap=True), "gives", Column("settings", no_wrap=True))
    rows = [("fuse", mode.name, mode.gives, mode.target) for mode in MODES.values()]
    rows += [("mix", mixer.name, mixer.gives, mixer.target) for mixer in MIXERS.values()]
    shown = ""
    for command, name, gives, target in rows:
        settings = "\n".join(f"{key}={_shown(parameter)}" for key, parameter in settings_of(target).items())
        table.add_row("" if command == shown else command, name, gives, settings)
        shown = command
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


def say_fused(console: Console, output: OutputFolder, summary: FusionSummary, unreadable: Mapping[str, str]) -> None:
    """What lies in the folder, what this run did for it, and the photos that got in its way."""
    console.print(made_table(output.images()))
    say(
        console,
        f"{summary.made:,} images in {duration(summary.seconds)}; {summary.inverted:,} photos were inverted, the noise "
        f"maps of {summary.from_cache:,} were in the cache",
    )
    say_left_out(console, "photos that could not be read any more", unreadable)
    if summary.skipped:
        say(console, f"pairs that were left out for such a photo: {len(summary.skipped):,}")
    if output.contact_sheet.exists():
        say(console, f"to look at: {output.contact_sheet}")


def _shown(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))
