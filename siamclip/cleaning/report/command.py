"""`clean.py report`: reads what find wrote, and writes RUN/report.html."""

from __future__ import annotations

from siamclip.cleaning.find.results import read_findings, read_notes, read_pairs, readable_results
from siamclip.cleaning.report.report import ReportData, write_report
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.file_table import as_text
from siamclip.cleaning.scan.table.photo_table import scanned_files
from siamclip.cli.console import new_console, say
from siamclip.cli.progress_bars import Bars


def report_command(run: RunFolder, *, thumbnail_bytes: int) -> None:
    """`thumbnail_bytes`: of thumbnails inside the page; photos beyond it are shown from their files. UserError."""
    console = new_console()
    with run.lock("report"), Bars(console) as bars:
        data = report_data(run)
        advance = bars.stages()
        written = write_report(
            data,
            run.report,
            budget=thumbnail_bytes,
            progress=lambda done, total: advance("thumbnails", done, total),
        )
    say(console, f"report: {written.path} ({written.bytes / 1e6:.1f} MB, {written.photos:,} photos)")


def report_data(run: RunFolder) -> ReportData:
    """All that the report shows, from what lies in the RUN."""
    notes = read_notes(run)
    contents = _contents(run)
    with readable_results(run.settings):
        settings = run.settings.read_text("utf-8")
    return ReportData(
        run=f"{run.root} {notes['created']}",
        root=run.root,
        created=notes["created"],
        findings=read_findings(run),
        pairs=read_pairs(run),
        class_counts=[(str(name), int(before), int(after)) for name, before, after in notes["classes"]],
        notes=notes["methods"],
        scan={"photos": notes["photos"], "unreadable": notes["unreadable"]},
        settings=settings,
        layout=notes["layout"],
        warnings=[f"{name}: not run, {why}" for name, why in notes["left_out"].items()],
        contents=contents,
    )


def _contents(run: RunFolder) -> dict[str, str]:
    """Path -> content hash of the photos of RUN, and of its archive, whose paths are absolute."""
    found: dict[str, str] = {}
    archive = run.archive
    for folder, prefix in ((run, ""), (archive, "" if archive is None else f"{archive.root.as_posix()}/")):
        if folder is not None:
            files, _ = scanned_files(folder)
            paths = (prefix + path for path in as_text(files.paths))
            found |= zip(paths, (content.decode("ascii") for content in files.status["content"].tolist()), strict=True)
    return found
