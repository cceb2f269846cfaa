"""What a scan says on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siamclip.cleaning.scan.table.state import ScanSummary


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
