"""What a fusion says on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from siamclip.augmentation.console import made_table, say_left_out
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.cli.console import duration, say

if TYPE_CHECKING:
    from siamclip.augmentation.fusion.fuse import FusionSummary


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
