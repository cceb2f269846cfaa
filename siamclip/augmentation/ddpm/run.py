"""A training of a diffusion model from its beginning, or from where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siamclip.augmentation.ddpm.output import writing
from siamclip.augmentation.ddpm.photos import find_photos
from siamclip.augmentation.ddpm.settings import DdpmSettings
from siamclip.augmentation.ddpm.state import FOLDER, saved_metadata
from siamclip.augmentation.ddpm.training import DdpmTraining
from siamclip.checkpoint import METADATA, write_atomically
from siamclip.errors import UserError, printable
from siamclip.yaml_settings import mapping_as_yaml

SETTINGS = "settings.yaml"
# What may differ between a training and its continuation: nothing that the weights depend on but for rounding.
MAY_CHANGE = frozenset(
    (
        *("data", "out", "resume", "device", "num_workers", "cache_gb"),
        *("save_every_minutes", "sample_every", "compile", "half"),
    )
)


def train(
    data: Path, out: Path, settings: DdpmSettings, config: Mapping[str, Any], saved: Mapping[str, Any] | None = None
) -> None:
    """Train on the photos below `data` and leave the model in `out`. Raises UserError.

    `config`: the user's settings, which are kept with the model; `saved`: the metadata of the training that goes on.
    """
    if saved is None:
        check_new(out)
    photos = find_photos(data, out)
    if saved is not None and saved["fingerprint"] != photos.fingerprint:
        raise UserError(
            f"--resume: photos of {data} were added, removed, renamed or changed since the training in {out} stopped; "
            "bring them back, or start anew with another --out"
        )
    training = DdpmTraining(photos, out, settings, config, saved)
    if saved is not None:
        training.state.load(out, dict(saved))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / SETTINGS, mapping_as_yaml(config).encode("utf-8", "surrogatepass"))
    try:
        training()
    except KeyboardInterrupt:
        print(printable(f"step {training.state.step:,} is saved; to go on: the same command with --resume"))
        raise


def check_new(out: Path) -> None:
    """Raises UserError unless `out` is new or empty."""
    if (out / FOLDER / METADATA).is_file():
        raise UserError(f"--out {out}: holds a training; go on with --resume, or choose another folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: must be a new or an empty folder; choose another")


def continued(out: Path, config: Mapping[str, Any], defaults: Mapping[str, Any], argv: Sequence[str]) -> dict[str, Any]:
    """The settings of a training that goes on, and its metadata under "saved": those it was started with, and what may
    change of those given now.

    Raises UserError for a flag, or another setting than the default, that would change the outcome.
    """
    saved = saved_metadata(out)["config"]
    flags = {text.removeprefix("--").split("=", 1)[0].replace("-", "_") for text in argv if text.startswith("--")}
    flags = {name if name in config else name.removeprefix("no_") for name in flags}
    for name, value in config.items():
        is_given = name in flags or value != defaults[name]
        if is_given and name not in MAY_CHANGE and name in saved and value != saved[name]:
            raise UserError(
                f"--{name} {value}: cannot change on --resume, it was {saved[name]}; leave it out, or start anew"
            )
    kept = {name: value for name, value in saved.items() if name not in MAY_CHANGE and name in config}
    if "data" not in flags:
        kept["data"] = saved["data"]
    return {**config, **kept}
