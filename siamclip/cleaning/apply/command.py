"""`clean.py apply` and `clean.py undo`: what is to be removed is listed, moved or left out of an export; and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from siamclip.cleaning.apply.apply import apply
from siamclip.cleaning.apply.console import say_plan
from siamclip.cleaning.apply.export import Mode, kept_photos
from siamclip.cleaning.apply.export import export as write_export
from siamclip.cleaning.apply.removal_plan import plan_removals
from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.apply.user_decisions import read_decisions
from siamclip.cleaning.duplicates.groups.not_duplicates import remember_not_duplicates
from siamclip.cleaning.find.results import read_findings, read_notes
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.photo_table import open_photos
from siamclip.cli.console import new_console, say
from siamclip.cli.progress_bars import Bars
from siamclip.errors import UserError


def apply_command(
    run: RunFolder,
    *,
    yes: bool,
    methods: Sequence[str],
    decisions: str | None,
    quarantine: str | None,
    export: str | None,
    export_mode: Mode,
    called: Callable[[str], str] = str,
) -> int:
    """List what would be removed; with `yes` move it to the quarantine, or write the rest to the folder `export`.

    `methods`: names or groups, whose proposals count. `decisions`: exported by the report, they win over proposals.
    `called(setting)`: what the reader calls a setting. Returns 1 where an export left out photos, which are listed,
    else 0. Raises UserError.
    """
    console = new_console()
    if export is not None and quarantine is not None:
        raise UserError("", "`export` and `quarantine`: an export moves nothing", "give one of the two")
    layout = read_notes(run)["layout"]
    photos = open_photos(run, layout=layout, archive=run.archive, columns=(), embeddings=False)
    decided = None if decisions is None else read_decisions(Path(decisions))
    wanted = {method.name for method in METHODS.chosen(methods, "methods")}
    planned = plan_removals(read_findings(run), photos, decided, None if tuple(methods) == ("all",) else wanted)
    if decided is not None:
        remember_not_duplicates(run.not_duplicates, frozenset(decided.not_duplicates))
    say_plan(console, photos, planned)
    if export is not None:
        destination = Path(export)
        kept = kept_photos(photos, planned.removals)
        if not yes:
            add = called("yes")
            say(console, f"nothing was written; add {add} to write {len(kept):,} photos to {destination}")
            return 0
        with run.lock("export"), Bars(console) as bars:
            written = write_export(run.root, kept, destination, export_mode, bars.stages())
        say(console, f"{written.written:,} photos written to {destination}, {written.there:,} were there")
        if written.unreadable:
            say(console, f"left out, as the scan could not read a byte of them: {', '.join(written.unreadable)}")
        return 1 if written.unreadable else 0
    if not yes:
        say(console, f"nothing was moved; add {called('yes')} to do it")
        return 0
    with Bars(console) as bars:
        done = apply(
            run,
            run.root,
            planned.removals,
            quarantine=None if quarantine is None else Path(quarantine),
            keepers=planned.keepers,
            progress=bars.stages(),
        )
    say(console, f"{done.moved:,} photos moved to {done.quarantine}; python clean.py undo {run} brings them back")
    return 0


def undo_command(run: RunFolder, *, last: bool) -> int:
    """Bring back what apply moved, with `last` what it moved last. Returns 1 where some stay, else 0. UserError."""
    console = new_console()
    with Bars(console) as bars:
        done = undo(run, last=last, progress=bars.stages())
    say(console, f"{done.returned:,} photos are back at their places")
    say(console, *(f"stays in the quarantine: {path} ({why})" for path, why in done.problems))
    return 1 if done.problems else 0
