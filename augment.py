"""Make new training images.

    python augment.py train-ddpm DATA --out DDPM    train a diffusion model on your own photos

`python augment.py COMMAND --help` lists a command's settings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from config import load
from config_augment import DDPM_PRESETS, AugmentTrainDdpmConfig
from siamclip.errors import UserError, exit_on_user_error, suggestion
from siamclip.setting_ranges import check


def train_ddpm(config: AugmentTrainDdpmConfig, flags: Sequence[str]) -> int:
    """Train a diffusion model on your own photos."""
    from siamclip.augmentation.ddpm.run import continued, train
    from siamclip.augmentation.ddpm.settings import DdpmSettings
    from siamclip.augmentation.ddpm.state import saved_metadata

    values, saved = asdict(config), None
    if config.resume:
        values = continued(Path(config.out), values, asdict(AugmentTrainDdpmConfig()), flags)
        saved = saved_metadata(Path(config.out))
    settings = {name: values[name] for name in DdpmSettings.__dataclass_fields__ if name in values}
    settings["architecture"] = DDPM_PRESETS[values["preset"]]
    train(Path(values["data"]), Path(config.out), DdpmSettings(**settings), values, saved)
    return 0


# -- the command line -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """`takes`: what may stand after the command's name. `function` is given the settings and the flags."""

    function: Callable[..., int]
    config_type: type
    takes: str


COMMANDS = {
    "train-ddpm": Command(train_ddpm, AugmentTrainDdpmConfig, "DATA"),
}


def main(argv: Sequence[str]) -> int:
    """Exit code: 0, or 1 where something could not be done for some photos, which are listed."""
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(__doc__)
        return 0
    if name not in COMMANDS:
        hint = suggestion(name, COMMANDS, f"there are {', '.join(COMMANDS)}")
        raise UserError(f"{name}: there is no such command; {hint}")
    command = COMMANDS[name]
    if command.takes == "DATA" and rest and not rest[0].startswith("-"):
        rest = ["--data", *rest]
    config: Any = load(
        command.config_type, rest, f"python augment.py {name} {command.takes}: {command.function.__doc__}"
    )
    check(config)
    return command.function(config, rest)


if __name__ == "__main__":
    with exit_on_user_error():
        raise SystemExit(main(sys.argv[1:]))
