"""The settings of every script and command."""

from __future__ import annotations

import augment
import clean
from config import EvaluateConfig, PredictConfig, TrainConfig

ROWS = {"clean.py": clean.COMMANDS, "augment.py": augment.COMMANDS}
# "clean.py find" -> its dataclass of settings
SETTINGS: dict[str, type] = {"train.py": TrainConfig, "evaluate.py": EvaluateConfig, "predict.py": PredictConfig} | {
    f"{script} {name}": command.config_type
    for script, commands in ROWS.items()
    for name, command in commands.items()
    if command.config_type is not None
}
