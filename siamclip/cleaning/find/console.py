"""What find says on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from siamclip.cleaning.contracts import Findings
from siamclip.cleaning.find.class_counts import as_table
from siamclip.cleaning.method_table import METHODS
from siamclip.cli.console import say

if TYPE_CHECKING:
    from siamclip.cleaning.find.decide import Decision


def findings_table(findings: Sequence[Findings]) -> Table:
    """A row a method: photos flagged, photos proposed for removal."""
    table = Table("method", "looks for", "flagged", "to remove")
    for part in findings:
        sees = METHODS[part.method].does if part.method in METHODS else _BEYOND[part.method]
        table.add_row(part.method, sees, f"{int(part.flagged.sum()):,}", f"{int((~part.keep).sum()):,}")
    return table


_BEYOND = {"label_conflict": "one photo in two identities", "leak": "copies on two sides of a split"}


def say_findings(
    console: Console, photos: int, findings: Sequence[Findings], decision: Decision, left_out: Mapping[str, str]
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
        console.print(as_table(decision.counts))
    say(console, f"{int(decision.remove.sum()):,} of {photos:,} photos are proposed for removal")
