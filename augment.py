"""Make new training images of pairs of photos.

    python augment.py fuse --input_dir DATA --output_dir OUT    in the noise space of a diffusion model
    python augment.py mix --input_dir DATA --output_dir OUT     by SamplePairing, mixup, CutMix or a mask
    python augment.py train-ddpm DATA --out DDPM                train a diffusion model on your own photos
    python augment.py methods                                   modes and methods with their settings

`python augment.py COMMAND --help` lists a command's settings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from config_augment import (
    DDPM_PRESETS,
    AugmentFolderSettings,
    AugmentFuseConfig,
    AugmentMixConfig,
    AugmentTrainDdpmConfig,
)
from siamclip.cli.command_line import Argument, Command, run_commands
from siamclip.errors import exit_on_user_error

if TYPE_CHECKING:
    from siamclip.augmentation.commands.folder_run import FolderRun

# What may differ between a run and its continuation: nothing that the images depend on. (What the embedder and the
# diffusion model are is compared by their weights.)
MAY_CHANGE = {
    *("input_dir", "output_dir", "embedder", "weights", "checkpoint_dir", "device", "precision", "batch_size"),
    *("copy_original", "sheet_rows", "embedding_cache", "noise_cache", "noise_cache_gb", "temp_yaml", "diffusion"),
}


def fuse(config: AugmentFuseConfig) -> int:
    """Fuse photos that are alike in the noise space of a diffusion model."""
    from siamclip.augmentation.commands.fuse import DiffusionModel, fuse_folder
    from siamclip.augmentation.fusion.gate import GateSettings
    from siamclip.augmentation.fusion.pipeline import choose_modes
    from siamclip.augmentation.fusion.sampling import FusionSettings
    from siamclip.augmentation.pairing.choose_pairs import PairLimits

    modes = choose_modes(config.fusion_modes, config.set)
    gate = config.similarity_threshold if config.gate_similarity is None else config.gate_similarity
    config = replace(config, fusion_modes=tuple(mode.name for mode in modes), gate_similarity=gate)
    return fuse_folder(
        folder_run("fuse", config),
        modes,
        limits=PairLimits(
            threshold=config.similarity_threshold,
            ceiling=config.similarity_ceiling,
            max_pairs=config.max_pairs,
            max_uses=config.max_uses,
            across_classes=config.across_classes,
        ),
        model=DiffusionModel(
            name=config.diffusion,
            precision=config.denoiser_precision,
            prompt=config.prompt,
            noise_cache=Path(config.noise_cache),
            noise_cache_bytes=int(config.noise_cache_gb * 1e9),
        ),
        settings=FusionSettings.from_values(asdict(config)),
        gate=GateSettings(min_similarity=gate, min_sharpness=config.gate_sharpness),
        settings_file=Path(config.temp_yaml),
    )


def mix(config: AugmentMixConfig) -> int:
    """Mix photos of a folder, or hide parts of them."""
    from siamclip.augmentation.commands.mix import mix_photos
    from siamclip.augmentation.mix.mix_folder import make_folder_mixing

    mixing = make_folder_mixing(config.method, config.set, config.image_size, config.geometry, config.seed)
    return mix_photos(folder_run("mix", config), mixing, config.number)


def folder_run(command: str, config: AugmentFolderSettings) -> FolderRun:
    """What fuse and mix share."""
    from siamclip.augmentation.commands.folder_run import FolderRun
    from siamclip.embedding.photo_embeddings import EmbedderSource

    settings = asdict(config)
    return FolderRun(
        command,
        input_dir=Path(config.input_dir),
        output_dir=Path(config.output_dir),
        embedder=EmbedderSource(
            name=config.embedder,
            checkpoints=Path(config.checkpoint_dir),
            weights=config.weights,
            device=config.device,
            precision=config.precision,
            batch_size=config.batch_size,
        ),
        embedding_cache=None if config.embedding_cache is None else Path(config.embedding_cache),
        across_classes=config.across_classes,
        copy_original=config.copy_original,
        sheet_rows=config.sheet_rows,
        settings=settings,
        fixed=frozenset(settings) - MAY_CHANGE,
    )


def train_ddpm(config: AugmentTrainDdpmConfig, flags: Sequence[str]) -> int:
    """Train a diffusion model on your own photos."""
    from siamclip.diffusion.training.command import resumed_settings, train
    from siamclip.diffusion.training.run.state import saved_ddpm_metadata
    from siamclip.diffusion.training.settings import DdpmSettings

    out = Path(config.out)
    saved = saved_ddpm_metadata(out) if config.resume else None
    values = asdict(config)
    if saved is not None:
        values = resumed_settings(saved["config"], values, asdict(AugmentTrainDdpmConfig()), flags)
    settings = DdpmSettings.from_values(values, DDPM_PRESETS[values["preset"]])
    train(Path(values["data"]), out, settings, values, saved)
    return 0


def methods() -> int:
    """List all modes and methods with their settings."""
    from siamclip.augmentation.console import modes_and_mixers_table
    from siamclip.cli.console import new_console

    new_console().print(modes_and_mixers_table())
    return 0


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
