"""Settings in a YAML file: read with their names and types checked, and written."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from siamclip.errors import UserError


def read_yaml(path: Path, config_type: type) -> dict[str, Any]:
    """The settings in a YAML file, checked by name and type. Raises UserError naming file and key."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {path}: cannot be read ({error.strerror}); check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content or {}, dict):
        raise UserError(f"--config {path}: must hold lines of the form 'name: value'")
    hints = get_type_hints(config_type)
    settings = {}
    for key, value in (content or {}).items():
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UserError(f"--config {path}: there is no setting {key!r}{hint}")
        settings[key] = _checked(path, key, value, hints[key])
    return settings


def _checked(path: Path, key: str, value: Any, hint: Any) -> Any:
    """The value in the field's own type: YAML 1.1 reads 1e-6 as text, and whole numbers do for floats."""
    allowed = [t for t in getattr(hint, "__args__", (hint,)) if t is not Ellipsis]
    if str(hint).startswith("typing.Literal"):
        if value not in allowed:
            raise UserError(f"--config {path}: {key} must be one of {', '.join(map(str, allowed))}, not {value!r}")
        return value
    if str(hint).startswith("tuple"):
        if isinstance(value, dict) and all(isinstance(inner, dict) for inner in value.values()):
            # two levels of names stand for the flag's texts: {laplacian: {threshold: 80}} is laplacian.threshold=80
            return tuple(f"{a}.{b}={_flag_text(v)}" for a, inner in value.items() for b, v in inner.items())
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"--config {path}: {key} must be a list of names, not {value!r}")
        return tuple(value)
    if value is None and type(None) in allowed:
        return None
    for kind in (bool, int, float, str):
        if kind not in allowed:
            continue
        if kind is float and not isinstance(value, bool):
            try:
                return float(value)
            except (TypeError, ValueError):
                continue
        if type(value) is kind:
            return value
    names = " or ".join(t.__name__ for t in allowed if t is not type(None))
    raise UserError(f"--config {path}: {key} must be {names}, not {value!r}")


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
