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

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from config_clean import (
    CleanApplyConfig,
    CleanCalibrateConfig,
    CleanFindConfig,
    CleanReportConfig,
    CleanRunConfig,
    CleanScanConfig,
    CleanUndoConfig,
)
from siamclip.cleaning.method_table import METHODS, ORIENTATION_SETTINGS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cli.command_line import Argument, Command, run_commands
from siamclip.errors import exit_on_user_error

FLAG = "--{}".format  # what the reader of a line calls a setting


def run_all(config: CleanRunConfig) -> int:
    """Scan, find and report in one go."""
    METHODS.chosen(config.methods, "methods")  # mistyped names are refused before anything is read
    settings = (*ORIENTATION_SETTINGS, *config.set) if config.orientations else config.set
    turned = any(given.get("orientations") for given in METHODS.parse(settings).values())
    config = replace(config, set=settings, orientations=turned)
    run = RunFolder(config.out)
    return scan(config) or find(run, config) or report(run, config)


def scan(config: CleanScanConfig) -> int:
    """Read every file once; only what is new or changed, if RUN was scanned before."""
    from siamclip.cleaning.scan.command import EmbedderChoice, scan_command
    from siamclip.cli.console import new_console

    embedder = EmbedderChoice(
        config.embedder,
        Path(config.checkpoint_dir),
        weights=config.weights,
        device=config.device,
        precision=config.precision,
        batch_size=config.batch_size,
    )
    scan_command(
        Path(config.data),
        RunFolder(config.out),
        new_console(),
        embedder=embedder,
        orientations=config.orientations,
        iqa=config.iqa,
        iqa_weights=config.iqa_weights,
        archive=None if config.new_against is None else RunFolder(config.new_against),
        workers=config.processes,
        reread=config.reread,
    )
    return 0


def find(run: RunFolder, config: CleanFindConfig) -> int:
    """Ask the methods, and propose what goes."""
    from dataset import split_identities
    from siamclip.cleaning.find.command import find_command
    from siamclip.cli.console import new_console, say

    console = new_console()
    split = partial(split_identities, val_ratio=config.val_ratio, test_ratio=config.test_ratio, seed=config.seed)
    find_command(
        run,
        console,
        methods=config.methods,
        given=METHODS.parse(config.set),
        layout=config.layout,
        split=split if config.check_split else None,
        protected=config.protected,
        min_per_class=config.min_per_class,
        same_view=config.same_view,
        verify=config.verify,
        min_inliers=config.min_inliers,
        not_duplicates=optional_path(config.not_duplicates),
        settings={name: getattr(config, name) for name in CleanFindConfig.__dataclass_fields__},
        called=FLAG,
    )
    say(console, f"findings: {run.findings_csv}; to look at them: python clean.py report {run}")
    return 0


def report(run: RunFolder, config: CleanReportConfig) -> int:
    """Write RUN/report.html: what was found, to look at and to decide on."""
    from siamclip.cleaning.report.command import report_command
    from siamclip.cli.console import new_console

    report_command(run, new_console(), thumbnail_bytes=int(config.thumbnails_mb * 1e6))
    return 0


def apply(run: RunFolder, config: CleanApplyConfig) -> int:
    """List what would be removed, and with --yes move it to the quarantine."""
    from siamclip.cleaning.apply.command import apply_command
    from siamclip.cli.console import new_console

    return apply_command(
        run,
        new_console(),
        methods=config.methods,
        decisions=optional_path(config.decisions),
        quarantine=optional_path(config.quarantine),
        destination=optional_path(config.export),
        mode=config.export_mode,
        yes=config.yes,
        called=FLAG,
    )


def undo(run: RunFolder, config: CleanUndoConfig) -> int:
    """Bring back what apply moved."""
    from siamclip.cleaning.apply.command import undo_command
    from siamclip.cli.console import new_console

    return undo_command(run, new_console(), last=config.last)


def calibrate(run: RunFolder, config: CleanCalibrateConfig) -> int:
    """Ask about pairs, and tell the precision and recall of every threshold."""
    from siamclip.cleaning.calibrate.session import calibrate_command
    from siamclip.cli.console import new_console

    calibrate_command(
        run,
        new_console(),
        method=config.method,
        questions=config.questions,
        answers=optional_path(config.answers),
        target_precision=config.target_precision,
        seed=config.seed,
        layout=config.layout,
        read=input if sys.stdin.isatty() else None,
        called=FLAG,
    )
    return 0


def methods() -> int:
    """List all methods with their settings."""
    from siamclip.cleaning.console import cleaning_methods_table
    from siamclip.cli.console import new_console

    new_console().print(cleaning_methods_table())
    return 0


def optional_path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def existing_run(folder: str) -> RunFolder:
    """Raises UserError for a mistyped folder, before anything is made in it."""
    run = RunFolder(folder)
    run.require()
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
