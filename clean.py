"""Clean a collection of photos: scan once, find, look, apply, undo.

    python clean.py run DATA --out RUN     scan, find and report in one go
    python clean.py scan DATA --out RUN    read every file once; a second scan reads only what is new or changed
    python clean.py find RUN               duplicates, bad quality, outliers, label errors, cloned plates, leaks
    python clean.py report RUN             RUN/report.html: look, and decide
    python clean.py apply RUN [--yes]      what is to be removed goes to a quarantine; without --yes it is only listed
    python clean.py undo RUN               brings everything back
    python clean.py calibrate RUN --method phash    which threshold, by your own answers
    python clean.py methods                all methods with their settings

No step deletes or overwrites a photo. `python clean.py COMMAND --help` lists a command's settings.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config_clean import (
    CleanApplyConfig,
    CleanCalibrateConfig,
    CleanFindConfig,
    CleanReportConfig,
    CleanRunConfig,
    CleanScanConfig,
    CleanUndoConfig,
)
from siamclip.cleaning.method_table import METHODS, SCORERS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cli.command_line import Argument, Command, run_commands
from siamclip.cli.progress_bars import Bars
from siamclip.errors import UserError, exit_on_user_error

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from siamclip.cleaning.apply.plan import RemovalPlan
    from siamclip.cleaning.contracts import CopyPairs, Findings, PhotoTable
    from siamclip.cleaning.duplicates.geometry.geometry import Verdicts
    from siamclip.cleaning.find.decide import Decision
    from siamclip.embedding.embedder import Embedder


FOUND_BY = frozenset(CleanFindConfig.__dataclass_fields__)  # of a run's settings, those of find


# -- scan -------------------------------------------------------------------------------------------------------------


def scan(config: CleanScanConfig) -> int:
    """Read every file once; only what is new or changed, if RUN was scanned before."""
    from siamclip.cleaning.quality.no_reference.iqa import open_metrics
    from siamclip.cleaning.scan.console import scan_lines
    from siamclip.cleaning.scan.scan import scan_collection
    from siamclip.cli.console import new_console, say

    console, run = new_console(), RunFolder(config.out)
    archive = None if config.new_against is None else RunFolder(config.new_against)
    _ = archive and archive.root  # a mistyped folder is refused before anything is read
    metrics = open_metrics(config.iqa, files_of(config.iqa_weights))
    summary = scan_collection(
        Path(config.data),
        run,
        scorers=[name for name, scorer in SCORERS.items() if scorer.default or config.orientations],
        workers=config.processes,
        embedder=scan_embedder(config, console),
        extra_scorers=metrics,
        reread=config.reread,
        console=console,
    )
    run.remember_archive(archive)
    say(console, *scan_lines(summary))
    return 0


def files_of(weights: Sequence[str]) -> dict[str, str]:
    """Metric -> file, of texts metric=file."""
    if wrong := [text for text in weights if "=" not in text]:
        raise UserError(f"--iqa_weights {wrong[0]}: must have the form metric=file")
    return {metric: file for metric, _, file in (text.partition("=") for text in weights)}


def scan_embedder(config: CleanScanConfig, console: Console) -> Embedder | None:
    """The embedder of --embedder; "auto" is the newest checkpoint and, where there is none, none, which is said."""
    from siamclip.cli.console import say

    name = config.embedder
    if name == "auto":
        trained = any(Path(config.checkpoint_dir).glob("*/best/metadata.json"))
        name = "newest" if trained else "none"
        if not trained:
            say(console, f"no checkpoint in {config.checkpoint_dir}: methods that need embeddings will be left out")
    if name == "none":
        return None
    from siamclip.embedding.embedder import open_embedder

    settings: dict[str, Any] = {"device": config.device, "precision": config.precision}
    settings["batch_size"] = config.batch_size
    embedder, _ = open_embedder(name, Path(config.checkpoint_dir), config.weights, **settings)
    say(console, f"embeddings by {embedder.name}")
    return embedder


# -- find -------------------------------------------------------------------------------------------------------------


def find(run: RunFolder, config: CleanFindConfig) -> int:
    """Ask the methods, and propose what goes."""
    from siamclip.cleaning.console import looking
    from siamclip.cleaning.find.console import say_findings
    from siamclip.cleaning.find.decide import decide
    from siamclip.cleaning.find.groups_csv import write_groups
    from siamclip.cleaning.find.results import known_not_duplicates, write_results, write_settings
    from siamclip.cleaning.find.run_methods import run_methods, verified
    from siamclip.cleaning.scan.table.photos import open_photos
    from siamclip.cli.console import new_console, say
    from siamclip.methods import effective

    console = new_console()
    methods = METHODS.chosen(config.methods, "methods")
    settings = effective(methods, METHODS.parse(config.set))
    same_identity = math.sqrt(2 - 2 * config.same_view)
    with run.lock("find"):
        photos = open_photos(run, layout=config.layout, archive=run.archive)
        with looking(console) as starts:
            found = run_methods(photos, methods, settings, config.methods, config.protected, starts)
        pairs: list[CopyPairs] = found.pairs
        verdicts: dict[str, Verdicts] = {}
        if config.verify:
            with Bars(console) as bars:
                pairs, verdicts = verified(photos, pairs, settings, same_identity, config.min_inliers, bars.step)
        decision = decide(
            photos,
            found.findings,
            pairs,
            same_identity=same_identity,
            verdicts=verdicts,
            min_per_class=config.min_per_class,
            protected=config.protected,
            not_duplicates=known_not_duplicates(run, config.not_duplicates),
        )
        findings = [*decision.findings, *leaks_of(run, photos, decision, config)]
        notes = described(
            config,
            photos,
            decision,
            {one.method: one.notes for one in pairs} | {one.method: one.notes for one in findings if one.notes},
        )
        write_groups(run.groups, photos, decision.copies)
        write_settings(run, {name: value for name, value in asdict(config).items() if name in FOUND_BY}, settings)
        write_results(run, photos, findings, pairs, decision.counts, notes | {"left_out": found.left_out})
    say_findings(console, notes["photos"], findings, decision, found.left_out)
    say(console, f"findings: {run.findings_csv}; to look at them: python clean.py report {run}")
    return 0


def leaks_of(run: RunFolder, photos: PhotoTable, decision: Decision, config: CleanFindConfig) -> list[Findings]:
    """Copies on two sides, of the given folders or of train.py's split; the plan of repair goes to leaks.csv."""
    from siamclip.cleaning.contracts import NO_LABEL
    from siamclip.cleaning.find.leaks import leaks, write_plan

    if config.check_split:
        from dataset import split_identities

        if photos.sides is not None:
            raise UserError("--check_split: the folders are the split here (--layout sides); leave one of the two out")
        sides = split_identities(photos.identities, config.val_ratio, config.test_ratio, config.seed)
        unlabelled = photos.labels == NO_LABEL  # which train.py leaves out
        photos = replace(photos, sides=sides[photos.labels], archived=photos.is_archived | unlabelled)
    if photos.sides is None:
        run.leaks.unlink(missing_ok=True)
        return []
    found, plan = leaks(photos, decision.copies)
    write_plan(run.leaks, photos, plan)
    return [found]


def described(
    config: CleanFindConfig, photos: PhotoTable, decision: Decision, methods: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What notes.json says."""
    own: np.ndarray = ~photos.is_archived
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "layout": config.layout,
        "photos": int(own.sum()),
        "unreadable": int((~photos.readable & own).sum()),
        "to remove": int(decision.remove.sum()),
        "embedder": photos.embedder,
        "methods": {name: notes for name, notes in methods.items() if notes},
        "decision": decision.notes,
    }


# -- report -----------------------------------------------------------------------------------------------------------


def report(run: RunFolder, config: CleanReportConfig) -> int:
    """Write RUN/report.html: what was found, to look at and to decide on."""
    from siamclip.cleaning.report import report as page
    from siamclip.cleaning.report.data import report_data
    from siamclip.cli.console import new_console, say

    console = new_console()
    with run.lock("report"), Bars(console) as bars:
        data = report_data(run)
        advance = bars.stages()
        written = page.write_report(
            data,
            run.report,
            budget=int(config.thumbnails_mb * 1e6),
            progress=lambda done, total: advance("thumbnails", done, total),
        )
    say(console, f"report: {written.path} ({written.bytes / 1e6:.1f} MB, {written.photos:,} photos)")
    return 0


def run_all(config: CleanRunConfig) -> int:
    """Scan, find and report in one go."""

    # Mistyped names are refused before anything is read.
    _ = METHODS.chosen(config.methods, "methods"), METHODS.parse(config.set)
    run = RunFolder(config.out)
    return scan(config) or find(run, config) or report(run, config)


# -- apply, undo ------------------------------------------------------------------------------------------------------


def apply(run: RunFolder, config: CleanApplyConfig) -> int:
    """List what would be removed, and with --yes move it to the quarantine."""
    from siamclip.cleaning.apply.apply import apply as move
    from siamclip.cleaning.apply.console import say_plan
    from siamclip.cleaning.apply.decisions import read_decisions
    from siamclip.cleaning.apply.plan import plan_removals
    from siamclip.cleaning.duplicates.groups import not_duplicates as remembered
    from siamclip.cleaning.find.results import read_findings, read_notes
    from siamclip.cleaning.scan.table.photos import open_photos
    from siamclip.cli.console import new_console, say

    if config.export is not None and config.quarantine is not None:
        raise UserError("--export and --quarantine: an export moves nothing; give one of the two")
    console = new_console()
    layout = read_notes(run)["layout"]
    photos = open_photos(run, layout=layout, archive=run.archive, columns=(), embeddings=False)
    decisions = None if config.decisions is None else read_decisions(Path(config.decisions))
    wanted = METHODS.chosen(config.methods, "methods")
    methods = None if config.methods == ("all",) else {method.name for method in wanted}
    planned = plan_removals(read_findings(run), photos, decisions, methods)
    if decisions is not None:
        remembered.remember_not_duplicates(run.not_duplicates, frozenset(decisions.not_duplicates))
    say_plan(console, photos, planned)
    if config.export is not None:
        return export(run, photos, planned, config, console)
    if not config.yes:
        say(console, "nothing was moved; add --yes to do it")
        return 0
    quarantine = None if config.quarantine is None else Path(config.quarantine)
    with Bars(console) as bars:
        keepers = planned.keepers
        done = move(run, run.root, planned.removals, quarantine=quarantine, keepers=keepers, progress=bars.stages())
    say(console, f"{done.moved:,} photos moved to {done.quarantine}; python clean.py undo {run} brings them back")
    return 0


def export(run: RunFolder, photos: PhotoTable, planned: RemovalPlan, config: CleanApplyConfig, console: Console) -> int:
    """The cleaned collection, written elsewhere."""
    from siamclip.cleaning.apply.export import export as write_elsewhere
    from siamclip.cleaning.apply.export import kept_photos
    from siamclip.cli.console import say

    kept, destination = kept_photos(photos, planned.removals), Path(str(config.export))
    if not config.yes:
        say(console, f"nothing was written; add --yes to write {len(kept):,} photos to {destination}")
        return 0
    with run.lock("export"), Bars(console) as bars:
        done = write_elsewhere(run.root, kept, destination, config.export_mode, bars.stages())
    say(console, f"{done.written:,} photos written to {destination}, {done.there:,} were there")
    if done.unreadable:
        say(console, f"left out, as the scan could not read a byte of them: {', '.join(done.unreadable)}")
    return 1 if done.unreadable else 0


def undo(run: RunFolder, config: CleanUndoConfig) -> int:
    """Bring back what apply moved."""
    from siamclip.cleaning.apply.undo import undo as bring_back
    from siamclip.cli.console import new_console, say

    console = new_console()
    with Bars(console) as bars:
        done = bring_back(run, last=config.last, progress=bars.stages())
    say(console, f"{done.returned:,} photos are back at their places")
    say(console, *(f"stays in the quarantine: {path} ({why})" for path, why in done.problems))
    return 1 if done.problems else 0


# -- calibrate, methods -----------------------------------------------------------------------------------------------


def calibrate(run: RunFolder, config: CleanCalibrateConfig) -> int:
    """Ask about pairs, and tell the precision and recall of every threshold."""
    from siamclip.cleaning.calibrate.session import calibrate as ask
    from siamclip.cleaning.find.results import effective_threshold
    from siamclip.cleaning.scan.table.photos import open_photos
    from siamclip.cli.console import new_console, say

    console = new_console()
    with run.lock("calibrate"):
        photos = open_photos(run, layout=config.layout, archive=run.archive)
        with Bars(console) as bars:
            report = bars.stages()

            def said(text: str) -> None:
                bars.stop()  # no bar where a question stands
                say(console, *text.splitlines())

            ask(
                run.path,
                photos,
                config.method,
                questions=config.questions,
                seed=config.seed,
                precision=config.target_precision,
                threshold=effective_threshold(run, config.method),
                answers=None if config.answers is None else Path(config.answers),
                read=input if sys.stdin.isatty() else None,
                write=said,
                called=lambda setting: f"--{setting}",
                progress=lambda done, total: report("thumbnails", done, total),
            )
    return 0


def methods() -> int:
    """List all methods with their settings."""
    from siamclip.cleaning.console import methods_table
    from siamclip.cli.console import new_console

    new_console().print(methods_table())
    return 0


# -- the command line -------------------------------------------------------------------------------------------------


def existing_run(folder: str) -> RunFolder:
    """Raises UserError for a mistyped folder, before anything is made in it."""
    run = RunFolder(folder)
    _ = run.root
    return run


DATA = Argument("DATA", setting="data")
RUN = Argument("RUN", what="the folder of the run", example="clean_run", opens=existing_run)
COMMANDS = {
    "run": Command(run_all, CleanRunConfig, DATA),
    "scan": Command(scan, CleanScanConfig, DATA),
    "find": Command(find, CleanFindConfig, RUN),
    "report": Command(report, CleanReportConfig, RUN),
    "apply": Command(apply, CleanApplyConfig, RUN),
    "undo": Command(undo, CleanUndoConfig, RUN),
    "calibrate": Command(calibrate, CleanCalibrateConfig, RUN),
    "methods": Command(methods),
}


def main(argv: Sequence[str]) -> int:
    """Exit code: 0, or 1 where something could not be done for some photos, which are listed."""
    return run_commands("clean.py", COMMANDS, __doc__, argv)


if __name__ == "__main__":
    with exit_on_user_error():
        raise SystemExit(main(sys.argv[1:]))
