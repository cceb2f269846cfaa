"""Make new training images of pairs of photos.

    python augment.py fuse --input_dir DATA --output_dir OUT    in the noise space of a diffusion model
    python augment.py mix --input_dir DATA --output_dir OUT     by SamplePairing, mixup, CutMix or a mask
    python augment.py train-ddpm DATA --out DDPM                train a diffusion model on your own photos
    python augment.py methods                                   modes and methods with their settings

`python augment.py COMMAND --help` lists a command's settings.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config_augment import (
    DDPM_PRESETS,
    AugmentFolderSettings,
    AugmentFuseConfig,
    AugmentMixConfig,
    AugmentTrainDdpmConfig,
)
from siamclip.augmentation.method_table import MODES
from siamclip.cli.command_line import Argument, Command, run_commands
from siamclip.cli.progress_bars import Bars
from siamclip.errors import UserError, exit_on_user_error, settings_called

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from siamclip.augmentation.contracts import FusionPair
    from siamclip.augmentation.fusion.fuse import FusionMode, FusionSummary
    from siamclip.augmentation.output.folder import OutputFolder
    from siamclip.augmentation.pairing.pairs import ChosenPairs
    from siamclip.data.collection import Collection
    from siamclip.diffusion.denoisers.contract import Denoiser
    from siamclip.embedding.embedder import Embedder

# What may differ between a run and its continuation: nothing that the images depend on. (What the embedder and the
# diffusion model are is compared by their weights.)
MAY_CHANGE = frozenset(
    (
        *("input_dir", "output_dir", "embedder", "weights", "checkpoint_dir", "device", "precision", "batch_size"),
        *("copy_original", "sheet_rows", "embedding_cache", "noise_cache", "noise_cache_gb", "temp_yaml", "diffusion"),
    )
)


# -- what fuse and mix share ------------------------------------------------------------------------------------------


def scanned(config: AugmentFolderSettings, console: Console) -> Collection:
    """The photos of --input_dir. Raises UserError where there are none."""
    from siamclip.cli.console import say
    from siamclip.data.collection import Collection

    with settings_called(data_dir="input_dir"):
        collection = Collection.from_folder(Path(config.input_dir))
    say(console, f"{len(collection):,} photos of {len(collection.identities):,} identities")
    if collection.skipped:
        reasons = Counter(file.reason for file in collection.skipped).most_common()
        say(console, "left out: " + ", ".join(f"{number:,} {reason}" for reason, number in reasons))
    return collection


def opened_embedder(config: AugmentFolderSettings) -> Embedder:
    from siamclip.embedding.photo_embeddings import open_for_pairs

    settings: dict[str, Any] = {"device": config.device, "precision": config.precision, "batch_size": config.batch_size}
    return open_for_pairs(config.embedder, Path(config.checkpoint_dir), config.weights, **settings)


def embedded(
    config: AugmentFolderSettings, collection: Collection, embedder: Embedder, console: Console
) -> tuple[np.ndarray, bool]:
    """(N, D) float32 unit vectors, and whether all photos could be read; others have rows of NaN, and are listed."""
    from siamclip.augmentation.console import say_left_out
    from siamclip.embedding.photo_embeddings import embed_photos

    cache = None if config.embedding_cache is None else Path(config.embedding_cache)
    with Bars(console) as bars:
        advance = bars.step("photos embedded", len(collection))
        vectors, unreadable = embed_photos(embedder, collection.root, collection.paths, cache, advance)
    say_left_out(console, "photos that cannot be read", unreadable)
    return vectors, not unreadable


def fixed(config: AugmentFolderSettings) -> dict[str, Any]:
    """The settings that cannot change when a run goes on: those that decide what is made."""
    return {name: value for name, value in asdict(config).items() if name not in MAY_CHANGE}


@contextmanager
def going_on_later(output: OutputFolder, console: Console) -> Iterator[None]:
    """Ctrl-C: what is there, and how to go on."""
    from siamclip.cli.console import say

    try:
        yield
    except KeyboardInterrupt:
        made = sum(output.reasons.values())
        say(console, f"{made:,} images are in {output.path}; the same command goes on with the others")
        raise


def originals(
    config: AugmentFolderSettings, collection: Collection, output: OutputFolder, console: Console
) -> dict[str, str]:
    """Copies of the photos beside the images, with --copy_original. Returns photo -> why it could not be read."""
    if not config.copy_original:
        return {}
    with Bars(console) as bars:
        return output.copy_photos(collection.paths, bars.step("photos copied", len(collection)))


# -- fuse -------------------------------------------------------------------------------------------------------------


def fuse(config: AugmentFuseConfig) -> int:
    """Fuse photos that are alike in the noise space of a diffusion model."""
    from siamclip.augmentation.fusion.console import say_fused
    from siamclip.augmentation.output.folder import OutputFolder
    from siamclip.augmentation.output.place import check_output_dir
    from siamclip.augmentation.output.settings_file import check_replaceable
    from siamclip.augmentation.squares import content_hashes, fingerprint
    from siamclip.cli.console import new_console, say
    from siamclip.diffusion.denoisers.factory import open_denoiser

    config, modes = checked(config)
    out = Path(config.output_dir)
    check_output_dir(out, Path(config.input_dir), "fuse", fixed(config))
    check_replaceable(Path(config.temp_yaml))
    console = new_console()
    collection = scanned(config, console)
    embedder = opened_embedder(config)
    denoiser = open_denoiser(config.diffusion, embedder.device, config.denoiser_precision, config.prompt)
    denoiser.schedule(config.steps, config.eta)  # too many steps are refused before anything is computed
    say(console, f"similarity by {embedder.name}, fused by {denoiser.name}, on {embedder.device}")
    vectors, all_read = embedded(config, collection, embedder, console)
    chosen = chosen_pairs(config, collection, vectors, console)
    hashes = content_hashes(collection.root, chosen.pairs)
    settings = fixed(config) | {
        "embedder": embedder.fingerprint,
        "diffusion model": denoiser.fingerprint,
        "photos of the pairs": fingerprint(chosen.pairs, hashes),
    }
    with OutputFolder(out, collection.root, "fuse", settings) as output, going_on_later(output, console):
        write_what_was_chosen(config, chosen, output)
        summary = fused(config, modes, collection, chosen.pairs, hashes, denoiser, embedder, output, console)
        unreadable = summary.unreadable | originals(config, collection, output, console)
        say_fused(console, output, summary, unreadable)
        say(console, f"next: python train.py --data_dir {config.input_dir} --augmented_dir {out}")
    return 0 if all_read and not unreadable else 1


def checked(config: AugmentFuseConfig) -> tuple[AugmentFuseConfig, list[FusionMode]]:
    """The effective settings, and the modes with theirs. Raises UserError for what does not go together."""
    from siamclip.augmentation.fusion.fuse import load_modes
    from siamclip.methods import effective as effective_settings

    if not config.similarity_threshold < config.similarity_ceiling:
        raise UserError(
            f"--similarity_threshold {config.similarity_threshold:g}: must lie below --similarity_ceiling "
            f"{config.similarity_ceiling:g}; no pair can lie between"
        )
    if config.skip >= config.steps:
        raise UserError(f"--skip {config.skip}: must be below --steps {config.steps}; with it no step is left")
    modes = MODES.chosen(config.fusion_modes, "fusion_modes")
    arguments = effective_settings(modes, MODES.parse(config.set))
    for text in config.set:
        if text.partition(".")[0].strip() not in {mode.name for mode in modes}:
            raise UserError(f"--set {text}: this mode is not among --fusion_modes; add it, or leave the setting out")
    gate = config.similarity_threshold if config.gate_similarity is None else config.gate_similarity
    effective = replace(config, fusion_modes=tuple(mode.name for mode in modes), gate_similarity=gate)
    return effective, load_modes(modes, arguments)


def chosen_pairs(
    config: AugmentFuseConfig, collection: Collection, vectors: np.ndarray, console: Console
) -> ChosenPairs:
    """The pairs, after the table of what each threshold would give. Raises UserError for none."""
    from siamclip.augmentation.pairing.histogram_plot import threshold_table
    from siamclip.augmentation.pairing.pairs import choose_pairs
    from siamclip.cli.console import say

    with Bars(console) as bars:
        chosen = choose_pairs(
            vectors,
            collection.paths,
            collection.labels,
            threshold=config.similarity_threshold,
            ceiling=config.similarity_ceiling,
            max_pairs=config.max_pairs,
            max_uses=config.max_uses,
            across_classes=config.across_classes,
            advance=bars.step("photos compared", len(collection)),
        )
    console.print(threshold_table(chosen.histogram))
    say(console, f"{len(chosen.pairs):,} pairs are fused, in {len(config.fusion_modes)} modes")
    return chosen


def write_what_was_chosen(config: AugmentFuseConfig, chosen: ChosenPairs, output: OutputFolder) -> None:
    """The settings, the histogram, the table of thresholds."""
    from siamclip.augmentation.output.settings_file import write_settings_file
    from siamclip.augmentation.pairing.histogram_plot import THRESHOLD_COLUMNS, plot_histogram, threshold_rows
    from siamclip.files.atomic import write_atomically
    from siamclip.files.csv_table import as_csv

    write_settings_file(Path(config.temp_yaml), config)
    with output.explain_write_errors():
        write_settings_file(output.settings, config)
        plot_histogram(chosen.histogram, output.similarities)
        write_atomically(output.thresholds, as_csv(THRESHOLD_COLUMNS, threshold_rows(chosen.histogram)))


def fused(
    config: AugmentFuseConfig,
    modes: Sequence[FusionMode],
    collection: Collection,
    pairs: Sequence[FusionPair],
    hashes: Mapping[str, str],
    denoiser: Denoiser,
    embedder: Embedder,
    output: OutputFolder,
    console: Console,
) -> FusionSummary:
    """Make what is not there yet, and the contact sheet of all."""
    from siamclip.augmentation.fusion.fuse import SamplerSettings, fuse_pairs
    from siamclip.augmentation.fusion.gate import Gate
    from siamclip.augmentation.fusion.noise_cache import NoiseCache
    from siamclip.augmentation.fusion.sheet import write_sheet
    from siamclip.augmentation.squares import reader
    from siamclip.cli.console import say
    from siamclip.embedding.photo_embeddings import EvenBatches

    if output.done:
        say(console, f"{len(output.done):,} images are there already: the run goes on")
    read = reader(collection.root, denoiser.image_side, config.geometry, hashes)
    assert config.gate_similarity is not None  # see checked
    gate = Gate(EvenBatches(embedder, config.batch_size), config.gate_similarity, config.gate_sharpness)
    with Bars(console) as bars:
        summary = fuse_pairs(
            pairs,
            modes,
            denoiser,
            output.write,
            read=read,
            hashes=hashes,
            sampler=SamplerSettings(**{name: getattr(config, name) for name in SamplerSettings.__dataclass_fields__}),
            batch_size=config.batch_size,
            device=embedder.device,
            names=output.names(
                [(pair.first, pair.second) for pair in pairs], [mode.name for mode in modes], collection.paths
            ),
            done=output.done,
            cache=NoiseCache(Path(config.noise_cache), int(config.noise_cache_gb * 1e9)),
            gate=gate,
            progress=bars.stages(),
        )
    if config.sheet_rows:
        with output.explain_write_errors():
            write_sheet(output, collection.root, pairs, [mode.name for mode in modes], config.sheet_rows)
    return summary


# -- mix --------------------------------------------------------------------------------------------------------------


def mix(config: AugmentMixConfig) -> int:
    """Mix photos of a folder, or hide parts of them."""
    from siamclip.augmentation.console import say_left_out
    from siamclip.augmentation.mix.folder import choose_parents, content_hashes, make_folder_mixing, mix_folder
    from siamclip.augmentation.output.folder import OutputFolder
    from siamclip.augmentation.output.place import check_output_dir
    from siamclip.augmentation.output.settings_file import write_settings_file
    from siamclip.cli.console import new_console, say

    mixing = make_folder_mixing(config.method, config.set, config.image_size, config.geometry, config.seed)
    out, settings = Path(config.output_dir), fixed(config)
    check_output_dir(out, Path(config.input_dir), "mix", settings)
    console = new_console()
    collection = scanned(config, console)
    vectors, all_read = None, True
    if "features" in mixing.mixer.needs:
        embedder = opened_embedder(config)
        say(console, f"similarity by {embedder.name}, on {embedder.device}")
        vectors, all_read = embedded(config, collection, embedder, console)
        settings["embedder"] = embedder.fingerprint
    with Bars(console) as bars:
        advance = bars.step("parents drawn", config.number)
        parents, alone = choose_parents(
            mixing, collection.labels, config.number, config.across_classes, vectors, advance
        )
    if alone:
        say(console, f"left out: {alone:,} photos that are alone in their folders; --across_classes mixes them too")
    hashes, settings["photos of the images"] = content_hashes(collection.root, collection.paths, parents)
    with OutputFolder(out, collection.root, "mix", settings) as output, going_on_later(output, console):
        with output.explain_write_errors():
            write_settings_file(output.settings, config)
        with Bars(console) as bars:
            unreadable = mix_folder(
                mixing,
                output,
                collection.root,
                collection.paths,
                parents,
                hashes,
                vectors=vectors,
                batch_size=config.batch_size,
                sheet_rows=config.sheet_rows,
                advance=bars.step("images made", config.number),
            )
        unreadable |= originals(config, collection, output, console)
        say_left_out(console, "photos that cannot be read, whose images are left out", unreadable)
        say(console, f"{sum(output.reasons.values()):,} images are in {out}")
    return 0 if all_read and not unreadable else 1


# -- train-ddpm, methods ----------------------------------------------------------------------------------------------


def train_ddpm(config: AugmentTrainDdpmConfig, flags: Sequence[str]) -> int:
    """Train a diffusion model on your own photos."""
    from siamclip.diffusion.training.progress.state import saved_ddpm_metadata
    from siamclip.diffusion.training.run import continued, train
    from siamclip.diffusion.training.settings import DdpmSettings

    out = Path(config.out)
    saved = saved_ddpm_metadata(out) if config.resume else None
    values = asdict(config) if saved is None else continued(saved["config"], config, flags)
    preset = DDPM_PRESETS[values["preset"]]
    known = {name: values[name] for name in DdpmSettings.__dataclass_fields__ if name in values}
    train(Path(values["data"]), out, DdpmSettings(architecture=preset, **known), values, saved)
    return 0


def methods() -> int:
    """List all modes and methods with their settings."""
    from siamclip.augmentation.console import modes_and_mixers_table
    from siamclip.cli.console import new_console

    new_console().print(modes_and_mixers_table())
    return 0


# -- the command line -------------------------------------------------------------------------------------------------


COMMANDS = {
    "fuse": Command(fuse, AugmentFuseConfig),
    "mix": Command(mix, AugmentMixConfig),
    "train-ddpm": Command(train_ddpm, AugmentTrainDdpmConfig, Argument("DATA", setting="data"), flags=True),
    "methods": Command(methods),
}


def main(argv: Sequence[str]) -> int:
    """Exit code: 0, or 1 where something could not be done for some photos, which are listed."""
    return run_commands("augment.py", COMMANDS, __doc__, argv)


if __name__ == "__main__":
    with exit_on_user_error():
        raise SystemExit(main(sys.argv[1:]))
