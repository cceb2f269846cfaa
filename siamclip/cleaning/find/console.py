"""What find says on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from siamclip.cleaning.contracts import Findings
from siamclip.cleaning.method_table import METHODS
from siamclip.cli.console import say
from siamclip.errors import printable

if TYPE_CHECKING:
    from siamclip.cleaning.find.decide import ClassCounts, RemovalDecision


def findings_table(findings: Sequence[Findings]) -> Table:
    """A row a method: photos flagged, photos proposed for removal."""
    table = Table("method", "looks for", "flagged", "to remove")
    for part in findings:
        sees = METHODS[part.method].does if part.method in METHODS else _BEYOND[part.method]
        table.add_row(part.method, sees, f"{int(part.flagged.sum()):,}", f"{int((~part.keep).sum()):,}")
    return table


_BEYOND = {"label_conflict": "one photo in two identities", "leak": "copies on two sides of a split"}


def say_findings(
    console: Console, photos: int, findings: Sequence[Findings], decision: RemovalDecision, left_out: Mapping[str, str]
) -> None:
    """Methods, what is questioned, class counts, what was left out."""
    console.print(findings_table(findings))
    for part in findings:
        if "questioned" in part.notes:
            say(console, f"questioned: {part.notes['questioned']}")
    reasons = Counter(left_out.values())
    for reason, _ in reasons.items():
        names = ", ".join(name for name, why in left_out.items() if why == reason)
        say(console, f"not run: {names} ({reason})")
    if len(decision.counts.identities) > 1 and decision.remove.any():
        console.print(class_counts_table(decision.counts))
    say(console, f"{int(decision.remove.sum()):,} of {photos:,} photos are proposed for removal")


def class_counts_table(counts: ClassCounts, most: int = 20) -> Table:
    """For the console: the identities that lose the largest share first, at most `most` of those that lose any."""
    table = Table("identity", "photos", "after", "goes", title="photos of each identity before and after")
    lost = counts.before - counts.after
    share = lost / np.maximum(counts.before, 1)
    order = [int(i) for i in np.lexsort((-lost, -share)) if lost[i]]
    for i in order[:most]:
        name = Text(printable(counts.identities[i]))
        table.add_row(name, str(counts.before[i]), str(counts.after[i]), f"{lost[i]} ({share[i]:.0%})")
    if len(order) > most:
        rest = order[most:]
        before, after = int(counts.before[rest].sum()), int(counts.after[rest].sum())
        table.add_row(f"{len(rest)} more that lose photos", str(before), str(after), str(before - after))
    same = np.flatnonzero(lost == 0)
    if len(same):
        total = str(counts.before[same].sum())
        table.add_row(f"{len(same)} that lose none", total, total, "0")
    table.add_row("all", str(counts.before.sum()), str(counts.after.sum()), str(lost.sum()), style="bold")
    return table
