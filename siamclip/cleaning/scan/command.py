"""`clean.py scan`: read every file of a collection once, with the scorers and the embedder that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from siamclip.cleaning.method_table import SCORERS
from siamclip.cleaning.quality.no_reference.iqa import open_metrics
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.console import scan_lines
from siamclip.cleaning.scan.scan import scan_collection
from siamclip.cli.console import new_console, say
from siamclip.errors import UserError

if TYPE_CHECKING:
    from siamclip.embedding.embedder import Embedder


@dataclass(frozen=True)
class ScanEmbedder:
    """What to open, once the scan needs it: torch is loaded then.

    `name`: as open_embedder takes it; "none"; "auto", the newest checkpoint and, where there is none, none.
    """

    name: str
    checkpoint_dir: Path
    weights: str | None
    how: Mapping[str, Any]  # device, precision, batch_size


def scan_command(
    data: Path,
    run: RunFolder,
    *,
    embedder: ScanEmbedder,
    orientations: bool,
    iqa: Sequence[str],
    iqa_weights: Sequence[str],
    archive: RunFolder | None,
    workers: int,
    reread: bool,
) -> None:
    """Bring RUN up to date with the photos below `data`; only what is new or changed is read, or all with `reread`.

    `orientations`: perceptual hashes of the turned and mirrored photo too. `iqa`: no-reference metrics;
    `iqa_weights`: their files, texts metric=file. `archive`: the RUN with which find compares these photos. `workers`:
    processes, 0 for one a core. Raises UserError, for mistyped names and folders before anything is read.
    """
    console = new_console()
    if archive is not None:
        archive.require()
    metrics = open_metrics(iqa, _files_of(iqa_weights))
    summary = scan_collection(
        data,
        run,
        scorers=[name for name, scorer in SCORERS.items() if scorer.default or orientations],
        workers=workers,
        embedder=_opened(embedder, console),
        extra_scorers=metrics,
        reread=reread,
        console=console,
    )
    run.remember_archive(archive)
    say(console, *scan_lines(summary))


def _files_of(weights: Sequence[str]) -> dict[str, str]:
    """Metric -> file, of texts metric=file."""
    if wrong := [text for text in weights if "=" not in text]:
        raise UserError("iqa_weights", "must have the form metric=file", value=wrong[0])
    return {metric: file for metric, _, file in (text.partition("=") for text in weights)}


def _opened(choice: ScanEmbedder, console: Console) -> Embedder | None:
    """Says which embedder is taken, where it was not named."""
    name = choice.name
    if name == "auto":
        trained = any(choice.checkpoint_dir.glob("*/best/metadata.json"))
        name = "newest" if trained else "none"
        if not trained:
            say(console, f"no checkpoint in {choice.checkpoint_dir}: methods that need embeddings will be left out")
    if name == "none":
        return None
    from siamclip.embedding.embedder import open_embedder

    embedder, _ = open_embedder(name, choice.checkpoint_dir, choice.weights, **choice.how)
    say(console, f"embeddings by {embedder.name}")
    return embedder
