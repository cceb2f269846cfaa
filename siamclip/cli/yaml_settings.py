"""Settings in a YAML file: read with their names and types checked, and written."""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from siamclip.cli.coercion import coerced
from siamclip.errors import UserError, suggestion, without_backquotes


def read_yaml(path: Path, config_type: type) -> dict[str, Any]:
    """The settings in a YAML file, checked by name and type. Raises UserError naming file and key."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError("config", f"cannot be read ({error.strerror})", "check the path", path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError("config", f"is not valid YAML ({_one_line(error)})", value=path) from None
    if not isinstance(content or {}, dict):
        raise UserError("config", "must hold lines of the form 'name: value'", value=path)
    hints = typing.get_type_hints(config_type)
    settings = {}
    for key, value in (content or {}).items():
        if key not in hints:
            raise UserError(
                "config", f"there is no setting {without_backquotes(repr(key))}", suggestion(str(key), hints), path
            )
        try:
            settings[key] = _in_its_type(value, hints[key])
        except ValueError as error:
            problem = f"{key} {error}, not {without_backquotes(repr(value))}"
            raise UserError("config", problem, value=path) from None
    return settings


def _one_line(error: Exception) -> str:
    return without_backquotes(" ".join(str(error).split()))


def _in_its_type(value: Any, annotation: Any) -> Any:
    """The value as its field declares it. Raises ValueError ("must be ...")."""
    two_levels = isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values())
    if two_levels and typing.get_origin(annotation) is tuple:
        # Two levels of names stand for the flag's texts: {laplacian: {threshold: 80}} is laplacian.threshold=80.
        return tuple(f"{a}.{b}={_flag_text(v)}" for a, inner in value.items() for b, v in inner.items())
    return coerced(value, annotation, none="null")


def _flag_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_yaml(config: Any) -> str:
    """A dataclass of settings as a YAML file that ``--config`` reads back."""
    return mapping_as_yaml(asdict(config))


def mapping_as_yaml(settings: Mapping[str, Any]) -> str:
    """The same of settings by name."""
    import yaml

    return yaml.safe_dump(_plain(settings), allow_unicode=True, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
