"""augment.py fuse: pairs of a folder's photos that are alike become fused images in an output folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash
from rich.console import Console

from siamclip.augmentation.commands.folder_run import FolderRun
from siamclip.augmentation.console import made_table, say_left_out
from siamclip.augmentation.contracts import FusionPair
from siamclip.augmentation.fusion.gate import Gate, GateSettings
from siamclip.augmentation.fusion.noise_cache import NoiseCache
from siamclip.augmentation.fusion.pipeline import FusionMode, FusionSummary, fuse_pairs
from siamclip.augmentation.fusion.sampling import DiffusionSampler, FusionSettings
from siamclip.augmentation.fusion.sheet import write_sheet
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.augmentation.output.settings_file import check_replaceable, write_settings_file
from siamclip.augmentation.pairing.choose_pairs import ChosenPairs, PairLimits, choose_pairs
from siamclip.augmentation.pairing.histogram_plot import (
    THRESHOLD_COLUMNS,
    plot_histogram,
    threshold_rows,
    threshold_table,
)
from siamclip.augmentation.square_photos import SquareReader, content_hashes
from siamclip.cli.console import duration, new_console, say, with_flags
from siamclip.cli.progress_bars import Bars
from siamclip.data.collection import Collection
from siamclip.diffusion.denoisers.factory import open_denoiser
from siamclip.embedding.photo_embeddings import EvenBatches, open_for_pairs
from siamclip.files.atomic import write_atomically
from siamclip.files.csv_table import as_csv

if TYPE_CHECKING:
    from siamclip.diffusion.denoisers.network import Precision


@dataclass(frozen=True)
class DiffusionModel:
    """Which model, and where the noise maps of photos are kept."""

    name: str
    precision: Precision
    prompt: str
    noise_cache: Path
    noise_cache_bytes: int


def fuse_folder(
    run: FolderRun,
    modes: Sequence[FusionMode],
    limits: PairLimits,
    model: DiffusionModel,
    settings: FusionSettings,
    gate: GateSettings,
    settings_file: Path,
) -> int:
    """The exit code: 1 where photos could not be read, which are listed. Raises UserError.

    `settings_file`: where all settings of the run are written beside those in the output folder.
    """
    run.check_output_dir()
    check_replaceable(settings_file)
    console = new_console()
    collection = run.collection(console)
    embedder = open_for_pairs(run.embedder)
    denoiser = open_denoiser(model.name, embedder.device, model.precision, model.prompt)
    cache = NoiseCache(model.noise_cache, model.noise_cache_bytes)
    sampler = DiffusionSampler(denoiser, settings, run.embedder.batch_size, embedder.device, cache)
    denoiser.schedule(settings.steps, settings.eta)  # too many steps are refused before anything is computed
    say(console, f"similarity by {embedder.name}, fused by {denoiser.name}, on {embedder.device}")
    vectors, all_read = run.embedded(collection, embedder, console)
    chosen = _choose_pairs(vectors, collection, limits, console)
    say(console, f"{len(chosen.pairs):,} pairs are fused, in {len(modes)} modes")
    hashes = content_hashes(collection.root, (path for pair in chosen.pairs for path in (pair.first, pair.second)))
    depends_on = {
        "embedder": embedder.fingerprint,
        "diffusion model": denoiser.fingerprint,
        "photos of the pairs": _fingerprint(chosen.pairs, hashes),
    }
    with run.output(depends_on, console) as output:
        _write_choice(chosen, run, output, settings_file)
        pairs = _named(chosen.pairs, modes, collection, output)
        photos = SquareReader(collection.root, denoiser.image_side, settings.geometry, hashes)
        verdicts = Gate(EvenBatches(embedder, run.embedder.batch_size), gate)
        summary = _fuse_missing(pairs, modes, photos, sampler, verdicts, output, console)
        if run.sheet_rows:
            with output.explain_write_errors():
                write_sheet(output, collection.root, pairs, [mode.name for mode in modes], run.sheet_rows)
        unreadable = summary.unreadable | run.copy_photos(collection, output, console)
        _say_fused(console, output, summary, unreadable)
        flags = [with_flags(name) for name in ("`data_dir`", "`augmented_dir`")]
        say(console, f"next: python train.py {flags[0]} {run.input_dir} {flags[1]} {run.output_dir}")
    return 0 if all_read and not unreadable else 1


def _choose_pairs(vectors: np.ndarray, collection: Collection, limits: PairLimits, console: Console) -> ChosenPairs:
    """The pairs, after the table of what each threshold would give. Raises UserError where there is none."""
    with Bars(console) as bars:
        advance = bars.step("photos compared", len(collection))
        chosen = choose_pairs(vectors, collection, limits, advance=advance)
    console.print(threshold_table(chosen.histogram))
    return chosen


def _fingerprint(pairs: Sequence[FusionPair], hashes: Mapping[str, str]) -> str:
    """Of the pairs, in any order, and of what their photos hold."""
    lines = sorted("\0".join((one.first, hashes[one.first], one.second, hashes[one.second])) for one in pairs)
    return xxhash.xxh3_128_hexdigest("\0\0".join(lines).encode("utf-8", "surrogatepass"))


def _write_choice(chosen: ChosenPairs, run: FolderRun, output: OutputFolder, settings_file: Path) -> None:
    """The settings, the histogram, the table of thresholds."""
    write_settings_file(settings_file, run.settings)
    with output.explain_write_errors():
        write_settings_file(output.settings, run.settings)
        plot_histogram(chosen.histogram, output.similarities)
        write_atomically(output.thresholds, as_csv(THRESHOLD_COLUMNS, threshold_rows(chosen.histogram)))


def _named(
    pairs: Sequence[FusionPair], modes: Sequence[FusionMode], collection: Collection, output: OutputFolder
) -> list[FusionPair]:
    """The pairs with the names of their images."""
    parents, methods = [(pair.first, pair.second) for pair in pairs], [mode.name for mode in modes]
    names = output.names(parents, methods, collection.paths)
    return [replace(pair, output_name=name) for pair, name in zip(pairs, names, strict=True)]


def _fuse_missing(
    pairs: Sequence[FusionPair],
    modes: Sequence[FusionMode],
    photos: SquareReader,
    sampler: DiffusionSampler,
    gate: Gate,
    output: OutputFolder,
    console: Console,
) -> FusionSummary:
    """Make the images that are not there yet."""
    if output.done:
        say(console, f"{len(output.done):,} images are there already: the run goes on")
    with Bars(console) as bars:
        return fuse_pairs(
            pairs, modes, photos, sampler, output.write, done=output.done, gate=gate, progress=bars.stages()
        )


def _say_fused(console: Console, output: OutputFolder, summary: FusionSummary, unreadable: Mapping[str, str]) -> None:
    """What lies in the folder, what this run did for it, and the photos that got in its way."""
    console.print(made_table(output.images()))
    say(
        console,
        f"{summary.made:,} images in {duration(summary.seconds)}; {summary.inverted:,} photos were inverted, the noise "
        f"maps of {summary.from_cache:,} were in the cache",
    )
    say_left_out(console, "photos that could not be read any more", unreadable)
    if summary.skipped:
        say(console, f"pairs that were left out for such a photo: {len(summary.skipped):,}")
    if output.contact_sheet.exists():
        say(console, f"to look at: {output.contact_sheet}")
