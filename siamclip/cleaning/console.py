"""What the steps of cleaning say on the terminal."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from siamclip.catalogue import METHODS, settings_of
from siamclip.cleaning.class_counts import as_table, class_counts
from siamclip.cleaning.contracts import Findings, Photos
from siamclip.errors import printable

if TYPE_CHECKING:
    from siamclip.cleaning.decide import Decision
    from siamclip.cleaning.plan import Plan
    from siamclip.cleaning.scan_state import ScanSummary

_SHOWN = 10  # names in a list; files hold them all


def new_console() -> Console:
    return Console(highlight=False)


def say(console: Console, *lines: str) -> None:
    """Lines as they are: a name with brackets is no markup, a long one is not broken."""
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


@contextmanager
def looking(console: Console) -> Iterator[Callable[[str], None]]:
    """What is given is told which method runs; on a terminal only."""
    with console.status("looking") as status:
        yield lambda name: status.update(f"looking: {name}")


def scan_lines(summary: ScanSummary) -> list[str]:
    """What was read and what was not, in words."""
    lines = [
        f"{summary.files:,} photos: {summary.read:,} read, {summary.unchanged:,} unchanged, {summary.moved:,} moved, "
        f"{summary.gone:,} gone; {summary.seconds:.1f} s"
    ]
    aside = {
        "unreadable": summary.unreadable,
        "other files": summary.other_files,
        "links (not followed)": summary.links,
        "further names of a file": summary.hard_links,
        "hidden": summary.hidden,
        "folders that cannot be listed": summary.unlisted,
        "photos that the embedder cannot take": summary.not_embedded,
    }
    if any(aside.values()):
        lines.append("among and beside them: " + ", ".join(f"{n:,} {what}" for what, n in aside.items() if n))
    return lines


def findings_table(findings: Sequence[Findings]) -> Table:
    """A row a method: photos flagged, photos proposed for removal."""
    table = Table("method", "looks for", "flagged", "to remove")
    for part in findings:
        sees = METHODS[part.method].sees if part.method in METHODS else _BEYOND[part.method]
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


def say_plan(console: Console, photos: Photos, plan: Plan) -> None:
    """The photos of each identity before and after, and what apply would do."""
    removed = {removal.path for removal in plan.removals}
    remove = np.array([path in removed for path in photos.paths], bool) & ~photos.is_archived
    if removed and photos.identities:
        console.print(as_table(class_counts(photos, remove)))
    size = sum(removal.bytes for removal in plan.removals) / 1e6
    say(console, f"{len(plan.removals):,} photos, {size:,.1f} MB, to remove")
    say(console, *(f"  {removal.path}: {removal.reason}" for removal in plan.removals[:_SHOWN]))
    if len(plan.removals) > _SHOWN:
        say(console, f"  ... and {len(plan.removals) - _SHOWN:,} more")
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


def methods_table() -> Table:
    """All methods with their settings."""
    table = Table("family", Column("method", no_wrap=True), "looks for", "default", Column("settings", no_wrap=True))
    family = ""
    for method in METHODS.values():
        settings = "\n".join(f"{name}={_shown(parameter)}" for name, parameter in settings_of(method.name).items())
        default = "yes" if method.default else "no"
        table.add_row("" if method.family == family else method.family, method.name, method.sees, default, settings)
        family = method.family
    return table


def _shown(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)
