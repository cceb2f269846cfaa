"""Scan: every photo of a collection is read and decoded once, on all cores; what was learned is kept in RUN.

    list the folder -> leave out what is known -> processes read, hash, decode, score -> Parquet parts

A file is known while its path, size, time of change and inode are those of an earlier scan. Its features belong to
its content, so that a file under a new name needs none. A scan that ends early, however it ends, has kept what it
found (but for the last seconds), and the next one goes on from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siamclip.cleaning.method_table import SCORERS, Scorer
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.pool import WorkerPool, number_of_workers
from siamclip.cleaning.scan.scan_plan import ScanPlan, plan_scan
from siamclip.cleaning.scan.table.feature_parts import Features, merge
from siamclip.cleaning.scan.table.file_table import FILE_PART, whole_table, write_table
from siamclip.cleaning.scan.table.inventory import Listing, list_photos
from siamclip.cleaning.scan.table.records import ImageScorer
from siamclip.cleaning.scan.table.state import ScanState, ScanSummary, read_state
from siamclip.cleaning.scan.worker import Setup, TaskResult, undecoded
from siamclip.cleaning.scan.writer import ScanWriter
from siamclip.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from siamclip.embedding.embedder import Embedder
    from siamclip.embedding.store import EmbeddingStore

Stateful = Mapping[str, tuple[Callable[..., Mapping[str, Any]], Mapping[str, str]]]


def scan_collection(
    data: Path,
    run: RunFolder | Path,
    *,
    scorers: Sequence[str | Scorer],
    workers: int = 0,
    embedder: Embedder | None = None,
    extra_scorers: Stateful | None = None,
    reread: bool = False,
    console: Console | None = None,
) -> ScanSummary:
    """Bring RUN up to date with the photos below `data`. Raises UserError; a broken photo raises nothing.

    `scorers`: names in method_table.SCORERS, or scorers. `extra_scorers`: name -> (callable, columns) of scorers with a
    state, which must survive pickling; where the callable has an attribute `version`, another version is computed
    again. `workers`: processes, 0 for one a core. `reread`: as if nothing were known. `console` shows a bar with
    the time left. After Ctrl-C what was read is saved before KeyboardInterrupt goes on.
    """
    started = time.monotonic()
    run = run if isinstance(run, RunFolder) else RunFolder(run)
    chosen = image_scorers(scorers, extra_scorers or {})
    if run.marker.exists():
        run.create(data)  # refuses another collection's RUN before anything is listed
    listing = list_photos(data)
    if not len(listing):
        raise UserError(
            "",
            f"{data}: holds no photos ({listing.other_files} other files, {listing.links} links, "
            f"{listing.hidden} hidden)",
            "give the folder that holds them",
        )
    run.create(data)
    preprocessing = None if embedder is None else embedder.preprocessing
    setup = Setup(os.fsencode(data), chosen, preprocessing, known=np.zeros(0, "S32"))
    with run.lock("scan"):
        state = _state(run, chosen, embedder)
        number = number_of_workers(workers)
        counts = _brought_up_to_date(run, setup, listing, embedder, state, number, reread, console)
        summary = ScanSummary(
            **counts,
            other_files=listing.other_files,
            links=listing.links,
            hard_links=listing.hard_links,
            hidden=listing.hidden,
            unlisted=listing.unlisted,
            seconds=time.monotonic() - started,
        )
        state.summary = asdict(summary)
        state.save(run)
        return summary


def image_scorers(names: Sequence[str | Scorer], extra: Stateful) -> tuple[ImageScorer, ...]:
    """Raises UserError for an unknown name, ValueError for a column that two scorers give."""
    found = []
    for one in names:
        if isinstance(one, str) and one not in SCORERS:
            raise UserError("", f"{one}: no such scorer", f"there are {', '.join(SCORERS)}")
        scorer = SCORERS[one] if isinstance(one, str) else one
        found.append(
            ImageScorer(scorer.name, str(scorer.version), dict(scorer.columns), scorer.target, grey=scorer.grey)
        )
    for name, (call, columns) in extra.items():
        found.append(ImageScorer(name, str(getattr(call, "version", 1)), dict(columns), call=call))
    given = [column for scorer in found for column in scorer.columns]
    if len(set(given)) < len(given):
        raise ValueError(f"two scorers give the same column: {sorted(given)}")
    return tuple(found)


def _brought_up_to_date(
    run: RunFolder,
    setup: Setup,
    listing: Listing,
    embedder: Embedder | None,
    state: ScanState,
    workers: int,
    reread: bool,
    console: Console | None,
) -> dict[str, int]:
    fingerprint, store = ("", None) if embedder is None else (embedder.fingerprint, _store(run, embedder))
    planned = plan_scan(run, listing, setup.scorers, fingerprint, store, reread)
    total = int(planned.to_read.sum())
    if total:
        from siamclip.cli.progress_bars import Bars

        state.complete = False
        state.save(run)
        setup = replace(setup, known=planned.complete)
        writer = ScanWriter(run, planned.files, setup.scorers, embedder, store)
        try:
            with Bars(console) as bars, WorkerPool(setup, workers) as pool:
                advance = bars.step("reading photos", total)
                for task, result in pool.results(planned.tasks(workers)):
                    writer.add(task, result if isinstance(result, TaskResult) else undecoded(setup, task, result))
                    advance(len(task))
        finally:  # also after Ctrl-C, and where a defect of ours ends the scan
            writer.flush()
        merge(run)
    counts = _finish(run, listing, planned, setup.scorers, fingerprint)
    state.complete = True
    return counts


def _finish(
    run: RunFolder, listing: Listing, planned: ScanPlan, scorers: tuple[ImageScorer, ...], fingerprint: str
) -> dict[str, int]:
    """All is read: the whole table takes the place of the parts that name files. Returns counts of the summary."""
    files, read = planned.files, planned.to_read
    features = Features(run, files.status["content"])
    reasons = [features.undecodable(), *(features.failures(scorer) for scorer in scorers)]
    for row in np.flatnonzero(np.any([reason != "" for reason in reasons], axis=0)).tolist():
        files.errors[row] = "; ".join(dict.fromkeys(reason[row] for reason in reasons if reason[row]))
    write_table(run.files, whole_table(files, listing))
    for path in run.parts.glob(FILE_PART):
        path.unlink(missing_ok=True)
    moved, gone = planned.moved_and_gone()
    return {
        "files": len(files),
        "read": int(read.sum()),
        "unchanged": int((~read & (planned.path_before >= 0)).sum()),
        "moved": moved,
        "gone": gone,
        "unreadable": int((files.errors != "").sum()),
        "not_embedded": int((features.not_embedded(fingerprint) != "").sum()) if fingerprint else 0,
    }


def _store(run: RunFolder, embedder: Embedder) -> EmbeddingStore:
    from siamclip.embedding.store import EmbeddingStore

    return EmbeddingStore(run.embeddings, embedder.fingerprint, embedder.dimension)


def _state(run: RunFolder, scorers: Iterable[ImageScorer], embedder: Embedder | None) -> ScanState:
    state = read_state(run) or ScanState()
    state.scorers = {one.name: {"version": one.version, "columns": dict(one.columns)} for one in scorers}
    state.embedder = ""
    if embedder is not None:
        state.embedder = embedder.fingerprint
        described = {"name": embedder.name, "dimension": embedder.dimension, "threshold": embedder.threshold}
        state.embedders[embedder.fingerprint] = described
    return state
