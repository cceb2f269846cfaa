"""What the report shows, read from a run's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.cleaning.find.results import read_findings, read_notes, read_pairs, readable_results
from siamclip.cleaning.run_folder import RunFolder

if TYPE_CHECKING:
    import pyarrow as pa

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa


def report_data(run: RunFolder) -> ReportData:
    """All that the report shows, from what lies in the RUN."""
    from siamclip.cleaning.scan.table.photos import open_photos

    notes = read_notes(run)
    photos = open_photos(run, layout="flat", archive=run.archive, columns=(), embeddings=False)
    with readable_results(run.settings):
        settings = run.settings.read_text("utf-8")
    contents = dict(zip(photos.paths, (bytes(one).decode("ascii") for one in photos.content), strict=True))
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


Table: TypeAlias = "pa.Table | Mapping[str, Sequence[Any] | np.ndarray]"


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    findings: columns path, content, method, score, flagged, reason, group, keep, related (a path or "").
    pairs: columns method, first, second (paths), distance, inliers (-1: not counted).
    Paths are relative to `root`, with forward slashes; bytes are taken as file names are.
    class_counts: identity, photos before, photos after what is proposed; empty for a flat collection.
    notes: method -> what it says of itself; its "questioned" is a sentence, or several, on its threshold.
    scan: at least "photos" and "unreadable".
    run: names the run; decisions that a browser remembers belong to it.
    """

    run: str
    root: Path
    created: str
    findings: Table
    pairs: Table
    class_counts: Sequence[tuple[str, int, int]]
    notes: Mapping[str, Mapping[str, Any]]
    scan: Mapping[str, int]
    settings: str
    layout: Literal["classes", "sides", "flat"] = "classes"  # which folder of a path is its class
    warnings: Sequence[str] = ()
    contents: Mapping[str, str] = field(default_factory=dict)  # path -> content hash, of photos without a finding
