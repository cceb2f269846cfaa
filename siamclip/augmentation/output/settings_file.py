"""The effective settings of a run in a YAML file, for people, and to be read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from siamclip.cli.yaml_settings import mapping_as_yaml
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
        raise UserError("temp_yaml", f"cannot be read ({error.strerror})", "give another file", path) from None
    if not ours:
        raise UserError("temp_yaml", "is not a file that augment.py wrote", "give another file", path)


def write_settings_file(path: Path, settings: Mapping[str, object]) -> None:
    """`settings`: by name. Raises UserError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{FIRST_LINE}\n{mapping_as_yaml(settings)}".encode("utf-8", "surrogateescape"))
    except OSError as error:
        problem = f"{path}: the settings cannot be written there ({error.strerror})"
        raise UserError("", problem, "give another file") from None
