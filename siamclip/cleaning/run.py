"""Runs methods over the scanned table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from siamclip.catalogue import SCORERS, Method, load_target
from siamclip.cleaning.contracts import NO_LABEL, Findings, Pairs, Photos
from siamclip.errors import UserError


@dataclass
class Found:
    """What the methods said, in their order. `left_out`: method -> why it did not run."""

    findings: list[Findings] = field(default_factory=list)
    pairs: list[Pairs] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def missing(method: Method, photos: Photos) -> str | None:
    """What the scan lacks for a method, and what to do; None where it lacks nothing."""
    for need in method.needs:
        if need == "embedding":
            if photos.embeddings is None:
                return "the scan holds no embeddings; scan again with --embedder newest, or a model's name"
        elif need == "labels":
            if (photos.labels == NO_LABEL).all():
                return "the photos do not lie in one folder an identity, or --layout is flat"
        elif need == "iqa":
            if not any(name.startswith("iqa_") for name in photos.columns):
                return "the scan holds no such score; scan again with --iqa brisque"
        elif not SCORERS[need].columns.keys() <= photos.columns.keys():
            return f"the scan holds no {need}; scan again"
    return None


def run_methods(
    photos: Photos,
    methods: Iterable[Method],
    settings: Mapping[str, Mapping[str, Any]],
    named: Sequence[str] = (),
    starts: Callable[[str], Any] = lambda name: None,
) -> Found:
    """Each method with its settings; `starts` is told its name.

    A method that the scan has nothing for is left out, with the reason, unless it is among those `named` one by one:
    then UserError.
    """
    found = Found()
    for method in methods:
        lacking = missing(method, photos)
        if lacking and method.name in named:
            raise UserError(f"--methods {method.name}: {lacking}")
        if lacking:
            found.left_out[method.name] = lacking
            continue
        starts(method.name)
        result = load_target(method.target)(photos, **settings.get(method.name, {}))
        if isinstance(result, Pairs):
            found.pairs.append(_checked_pairs(result, method, photos))
        else:
            found.findings.append(result)
    return found


def _checked_pairs(pairs: Pairs, method: Method, photos: Photos) -> Pairs:
    """The contract, where a breach would remove photos."""
    archived, readable = photos.is_archived, photos.readable
    if not (pairs.first < pairs.second).all():
        raise AssertionError(f"{method.name}: a pair names a photo twice, or its later one first")
    if (archived[pairs.first] & archived[pairs.second]).any():
        raise AssertionError(f"{method.name}: a pair lies within the archive")
    if not (readable[pairs.first] & readable[pairs.second]).all():
        raise AssertionError(f"{method.name}: a pair holds a photo that cannot be read")
    return pairs
