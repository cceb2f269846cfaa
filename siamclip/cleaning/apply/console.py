"""What apply says on the terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from siamclip.cleaning.console import SHOWN
from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.find.console import class_counts_table
from siamclip.cleaning.find.decide import class_counts
from siamclip.cli.console import say

if TYPE_CHECKING:
    from siamclip.cleaning.apply.removal_plan import RemovalPlan


def say_plan(console: Console, photos: PhotoTable, plan: RemovalPlan) -> None:
    """The photos of each identity before and after, and what apply would do."""
    removed = {removal.path for removal in plan.removals}
    remove = np.array([path in removed for path in photos.paths], bool) & ~photos.is_archived
    if removed and photos.identities:
        console.print(class_counts_table(class_counts(photos, remove)))
    size = sum(removal.bytes for removal in plan.removals) / 1e6
    say(console, f"{len(plan.removals):,} photos, {size:,.1f} MB, to remove")
    say(console, *(f"  {removal.path}: {removal.reason}" for removal in plan.removals[:SHOWN]))
    if len(plan.removals) > SHOWN:
        say(console, f"  ... and {len(plan.removals) - SHOWN:,} more")
    methods = Counter(name for removal in plan.removals for name in removal.methods)
    if methods:
        say(console, "by method: " + ", ".join(f"{name} {number:,}" for name, number in methods.most_common()))
    for what, names in (
        ("kept by your decisions", plan.kept_by_hand),
        ("stay, as the scan could not read a byte of them", plan.unverifiable),
        ("copies that go although your decisions remove their keeper too", plan.keeper_goes),
    ):
        if names:
            say(console, f"{what}: {len(names):,} ({', '.join(names[:3])}{' ...' if len(names) > 3 else ''})")
