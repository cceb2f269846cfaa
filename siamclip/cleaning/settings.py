"""The settings of cleaning's methods: `laplacian.threshold=80`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from siamclip import method_settings
from siamclip.catalogue import METHODS, Method, settings_of
from siamclip.method_settings import MethodSettings


def parse(assignments: Iterable[str]) -> MethodSettings:
    """Method -> setting -> value, of texts `method.setting=value`. Raises UserError, with the nearest name."""
    return method_settings.parse(assignments, METHODS, settings_of, "laplacian.threshold=80")


def effective(methods: Iterable[Method], given: Mapping[str, Mapping[str, Any]]) -> MethodSettings:
    """All settings of these methods: the defaults, and what was given."""
    return {
        method.name: {key: parameter.default for key, parameter in settings_of(method.name).items()}
        | dict(given.get(method.name, {}))
        for method in methods
    }
