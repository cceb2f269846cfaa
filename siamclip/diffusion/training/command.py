"""A training of a diffusion model from its beginning, or from where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from siamclip.cli.console import with_flags
from siamclip.cli.yaml_settings import mapping_as_yaml
from siamclip.diffusion.training.loop import DdpmTraining
from siamclip.diffusion.training.photos import find_photos
from siamclip.diffusion.training.run.output import explain_write_errors
from siamclip.diffusion.training.run.state import FOLDER
from siamclip.diffusion.training.settings import MAY_CHANGE, DdpmSettings
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically
from siamclip.models.checkpoint import METADATA

SETTINGS = "settings.yaml"


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
            "resume",
            f"photos of {data} were added, removed, renamed or changed since the training in {out} stopped",
            "bring them back, or start anew with another `out`",
        )
    training = DdpmTraining(photos, out, settings, config, saved)
    processes = training.accelerator.num_processes
    if saved is not None:
        if saved.get("processes", 1) != processes:
            raise UserError(
                "resume", f"it was started with {saved['processes']} processes, not {processes}", "so go on"
            )
        training.state.load(out, dict(saved))
    with explain_write_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / SETTINGS, mapping_as_yaml(config).encode("utf-8", "surrogatepass"))
    try:
        training()
    except KeyboardInterrupt:
        if training.saved_step is None:
            training.say("nothing is saved yet: start again")
        else:
            note = f"step {training.saved_step:,} is saved; to go on: the same command with `resume`"
            training.say(with_flags(note))
        raise


def check_new(out: Path) -> None:
    """Raises UserError unless `out` is new or empty."""
    if (out / FOLDER / METADATA).is_file():
        raise UserError("out", "holds a training", "go on with `resume`, or choose another folder", out)
    try:
        is_taken = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise UserError("out", f"cannot be read ({error.strerror})", "choose another folder", out) from None
    if is_taken:
        raise UserError("out", "must be a new or an empty folder", "choose another", out)


def resumed_settings(
    saved: Mapping[str, Any], given: Mapping[str, Any], defaults: Mapping[str, Any], flags: Sequence[str]
) -> dict[str, Any]:
    """The settings of a training that goes on: those it was started with, and what may change of those given now.

    All by name. Raises UserError for one that is given, as a flag or with another value than its default, and would
    change the outcome.
    """
    named = {text.removeprefix("--").split("=", 1)[0].replace("-", "_") for text in flags if text.startswith("--")}
    named |= {name.removeprefix("no_") for name in named}
    values = dict(saved)
    for name, value in given.items():
        is_given = name in named or value != defaults[name]
        if name not in saved or (name in MAY_CHANGE and (is_given or name not in ("data", "num_steps", "half"))):
            values[name] = value
        elif is_given and name not in MAY_CHANGE and value != saved[name]:
            problem = f"cannot change on `resume`, it was {saved[name]}"
            raise UserError(name, problem, "leave it out, or start anew", str(value))
    return values | {"resume": False}
