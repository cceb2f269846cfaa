"""`clean.py find`: run the methods on the scanned photos, decide what is proposed for removal, and write it down."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.cleaning.duplicates.geometry.geometric_verification import Verdicts
from siamclip.cleaning.duplicates.groups.not_duplicates import known_not_duplicates
from siamclip.cleaning.find.console import say_findings
from siamclip.cleaning.find.decide import RemovalDecision, decide_removals
from siamclip.cleaning.find.leaks import find_leaks
from siamclip.cleaning.find.results import write_results
from siamclip.cleaning.find.run_methods import check_doubtful_pairs, run_methods
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.photo_table import Layout, open_photos
from siamclip.cli.console import new_console, say
from siamclip.cli.progress_bars import Bars
from siamclip.errors import UserError
from siamclip.methods import MethodSettings, effective


def find_command(
    run: RunFolder,
    *,
    methods: Sequence[str],
    given: MethodSettings,
    layout: Layout,
    split: Callable[[list[str]], np.ndarray] | None,
    protected: Sequence[str],
    min_per_class: int,
    same_view: float,
    verify: bool,
    min_inliers: int,
    not_duplicates: str | None,
    settings: Mapping[str, Any],
    called: Callable[[str], str] = str,
) -> None:
    """`methods`, `given`: names of methods or groups, and settings of methods. `layout`: as in open_photos.

    `split`: of training, whose leaks are looked for: identities -> (C,) int8, 0 train, 1 validation, 2 test.
    `protected`, `min_per_class`: see decide.py. `same_view`: cosine from which two photos of one identity are one view.
    `verify`: compare local features of pairs near a threshold; with `min_inliers` matches they are copies.
    `not_duplicates`: file of another RUN to respect here. `settings`: what settings.yaml shall say beside the methods'
    settings; `called(setting)`: what the reader calls one. Raises UserError.
    """
    console = new_console()
    chosen = METHODS.chosen(methods, "methods")
    of_methods = effective(chosen, given)
    other = None if not_duplicates is None else Path(not_duplicates)
    same_identity = math.sqrt(2 - 2 * same_view)
    with run.lock("find"):
        photos = open_photos(run, layout=layout, archive=run.archive)
        on_sides = _with_sides(photos, split)
        with console.status("looking") as status:
            found = run_methods(
                photos, chosen, of_methods, methods, protected, lambda name: status.update(f"looking: {name}")
            )
        pairs = found.pairs
        verdicts: dict[str, Verdicts] = {}
        if verify:
            with Bars(console) as bars:
                pairs, verdicts = check_doubtful_pairs(
                    photos, found.pairs, of_methods, same_identity, min_inliers, bars.step
                )
        decision = decide_removals(
            photos,
            found.findings,
            pairs,
            found.rank,
            same_identity=same_identity,
            verdicts=verdicts,
            min_per_class=min_per_class,
            protected=protected,
            not_duplicates=known_not_duplicates(run.not_duplicates, other),
        )
        leaks, repair = find_leaks(on_sides, decision.copies)
        findings = [*decision.findings, *leaks]
        of_all = {one.method: one.notes for one in pairs} | {one.method: one.notes for one in findings}
        left_out = {name: why.told(called) for name, why in found.left_out.items()}
        notes = _described(photos, layout, decision, of_all) | {"left_out": left_out}
        write_results(run, photos, findings, pairs, decision, repair, notes, settings, of_methods)
    say_findings(console, notes["photos"], findings, decision, left_out)
    say(console, f"findings: {run.findings_csv}; to look at them: python clean.py report {run}")


def _with_sides(photos: PhotoTable, split: Callable[[list[str]], np.ndarray] | None) -> PhotoTable:
    """The photos with the sides of the split that training would draw, where that is asked for."""
    if split is None:
        return photos
    if photos.sides is not None:
        raise UserError("check_split", "the folders are the split here (`layout` sides)", "leave one of the two out")
    unlabelled = photos.labels == NO_LABEL  # which train.py leaves out
    sides = split(photos.identities)[photos.labels]
    return replace(photos, sides=sides, archived=photos.is_archived | unlabelled)


def _described(
    photos: PhotoTable, layout: str, decision: RemovalDecision, methods: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What notes.json says."""
    own: np.ndarray = ~photos.is_archived
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "layout": layout,
        "photos": int(own.sum()),
        "unreadable": int((~photos.readable & own).sum()),
        "to remove": int(decision.remove.sum()),
        "embedder": photos.embedder,
        "methods": {name: notes for name, notes in methods.items() if notes},
        "decision": decision.notes,
    }
