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


def run_all(config: CleanRunConfig) -> int:
    """Scan, find and report in one go."""
    METHODS.chosen(config.methods, "methods")  # mistyped names are refused before anything is read
    settings = (*ORIENTATION_SETTINGS, *config.set) if config.orientations else config.set
    turned = any(given.get("orientations") for given in METHODS.parse(settings).values())
    config = replace(config, set=settings, orientations=config.orientations or turned)
    run = RunFolder(config.out)
    return scan(config) or find(run, config) or report(run, config)


def scan(config: CleanScanConfig) -> int:
    """Read every file once; only what is new or changed, if RUN was scanned before."""
    from siamclip.cleaning.scan.command import ScanEmbedder, scan_command

    how = {"device": config.device, "precision": config.precision, "batch_size": config.batch_size}
    scan_command(
        Path(config.data),
        RunFolder(config.out),
        embedder=ScanEmbedder(config.embedder, Path(config.checkpoint_dir), config.weights, how),
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

    split = partial(split_identities, val_ratio=config.val_ratio, test_ratio=config.test_ratio, seed=config.seed)
    find_command(
        run,
        methods=config.methods,
        given=METHODS.parse(config.set),
        layout=config.layout,
        split=split if config.check_split else None,
        protected=config.protected,
        min_per_class=config.min_per_class,
        same_view=config.same_view,
        verify=config.verify,
        min_inliers=config.min_inliers,
        not_duplicates=config.not_duplicates,
        settings={name: getattr(config, name) for name in CleanFindConfig.__dataclass_fields__},
        called="--{}".format,
    )
    return 0


def report(run: RunFolder, config: CleanReportConfig) -> int:
    """Write RUN/report.html: what was found, to look at and to decide on."""
    from siamclip.cleaning.report.command import report_command

    report_command(run, thumbnail_bytes=int(config.thumbnails_mb * 1e6))
    return 0


def apply(run: RunFolder, config: CleanApplyConfig) -> int:
    """List what would be removed, and with --yes move it to the quarantine."""
    from siamclip.cleaning.apply.command import apply_command

    return apply_command(run, **vars(config), called="--{}".format)


def undo(run: RunFolder, config: CleanUndoConfig) -> int:
    """Bring back what apply moved."""
    from siamclip.cleaning.apply.command import undo_command

    return undo_command(run, **vars(config))


def calibrate(run: RunFolder, config: CleanCalibrateConfig) -> int:
    """Ask about pairs, and tell the precision and recall of every threshold."""
    from siamclip.cleaning.calibrate.command import calibrate_command

    calibrate_command(run, **vars(config), called="--{}".format)
    return 0


def methods() -> int:
    """List all methods with their settings."""
    from siamclip.cleaning.console import say_methods

    say_methods()
    return 0


DATA = Argument("DATA", setting="data")
RUN = Argument("RUN", what="the folder of the run", example="clean_run", opens=RunFolder.existing)
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
