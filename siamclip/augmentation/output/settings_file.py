"""The effective settings of a run in a YAML file, for people and for --config."""

from __future__ import annotations

from pathlib import Path

from siamclip.cli.yaml_settings import as_yaml
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

FIRST_LINE = "# Written by augment.py; --config reads it back."


def check_replaceable(path: Path) -> None:
    """Raise UserError unless `path` is free, or holds what an earlier run wrote: nobody's own file is replaced."""
    try:
        if not path.exists() and not path.is_symlink():
            return
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().rstrip("\n") == FIRST_LINE
    except OSError as error:
        raise UserError(f"--temp_yaml {path}: cannot be read ({error.strerror}); give another file") from None
    if not ours:
        raise UserError(f"--temp_yaml {path}: is not a file that augment.py wrote; give another file")


def write_settings_file(path: Path, config: object) -> None:
    """Raises UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{FIRST_LINE}\n{as_yaml(config)}".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise UserError(f"{path}: the settings cannot be written there ({error.strerror}); give another file") from None
