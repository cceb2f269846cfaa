"""Runs methods over the scanned table, and has their doubtful pairs checked by geometry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from siamclip.cleaning.contracts import NO_LABEL, CopyPairs, Findings, PhotoTable
from siamclip.cleaning.duplicates.geometry.geometry import NOT_CHECKED, Verdicts, verify
from siamclip.cleaning.duplicates.groups.credible import chosen
from siamclip.cleaning.duplicates.groups.evidence import is_semantic
from siamclip.cleaning.duplicates.groups.keepers import rank
from siamclip.cleaning.find.decide import proposed
from siamclip.cleaning.method_table import SCORERS, CleaningMethod
from siamclip.errors import UserError
from siamclip.methods import load_target

# Families whose findings are for people to look at: what goes anyway would only stand in the way of the others, as a
# black photo is far from everything.
LOOKED_AT = ("outliers", "labels")


@dataclass
class Found:
    """What the methods said, in their order. `left_out`: method -> why it did not run."""

    findings: list[Findings] = field(default_factory=list)
    pairs: list[CopyPairs] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def missing(method: CleaningMethod, photos: PhotoTable, settings: Mapping[str, Any]) -> str | None:
    """What the scan or the settings lack for a method, and what to do; None where they lack nothing."""
    if absent := [name for name in method.requires if settings.get(name) is None]:
        return f"its setting has no default; give --set {method.name}.{absent[0]}=..."
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
    photos: PhotoTable,
    methods: Iterable[CleaningMethod],
    settings: Mapping[str, Mapping[str, Any]],
    named: Sequence[str] = (),
    protected: Sequence[str] = (),
    starts: Callable[[str], Any] = lambda name: None,
) -> Found:
    """Each method with its settings; `starts` is told its name.

    Before the first that looks for copies, `photos.preference` is set by what the methods so far want removed and by
    the `protected` folders. Outliers and label errors are looked for among the photos that no method wants removed.

    A method that the scan has nothing for is left out, with the reason, unless it is among those `named` one by one:
    then UserError.
    """
    found = Found()
    for method in methods:
        lacking = missing(method, photos, settings.get(method.name, {}))
        if lacking and not {method.name, *method.aliases}.isdisjoint(named):
            raise UserError(f"--methods {method.name}: {lacking}")
        if lacking:
            found.left_out[method.name] = lacking
            continue
        starts(method.name)
        if method.family == "duplicates" and photos.preference is None:
            photos.preference = rank(photos, protected, proposed(found.findings, len(photos)))
        spoiled = proposed(found.findings, len(photos)) if method.family in LOOKED_AT else None
        with _without_embeddings(photos, spoiled):
            result = load_target(method.target)(photos, **settings.get(method.name, {}))
        if isinstance(result, CopyPairs):
            found.pairs.append(_checked_pairs(result, method, photos))
        else:
            found.findings.append(result)
    return found


@contextmanager
def _without_embeddings(photos: PhotoTable, rows: np.ndarray | None) -> Iterator[None]:
    """The rows (N,) bool have no embedding inside the with statement; in place, as there may be gigabytes of them."""
    if rows is None or photos.embeddings is None or not rows.any():
        yield
        return
    saved = photos.embeddings[rows]
    photos.embeddings[rows] = np.nan
    try:
        yield
    finally:
        photos.embeddings[rows] = saved


def _checked_pairs(pairs: CopyPairs, method: CleaningMethod, photos: PhotoTable) -> CopyPairs:
    """The contract, where a breach would remove photos."""
    archived, readable = photos.is_archived, photos.readable
    if not (pairs.first < pairs.second).all():
        raise AssertionError(f"{method.name}: a pair names a photo twice, or its later one first")
    if (archived[pairs.first] & archived[pairs.second]).any():
        raise AssertionError(f"{method.name}: a pair lies within the archive")
    if not (readable[pairs.first] & readable[pairs.second]).all():
        raise AssertionError(f"{method.name}: a pair holds a photo that cannot be read")
    return pairs


def verified(
    photos: PhotoTable,
    pairs: Sequence[CopyPairs],
    settings: Mapping[str, Mapping[str, Any]],
    same_identity: float,
    min_inliers: int,
    progress: Callable[[str, int], Callable[[int], Any]] = lambda name, total: lambda done: None,
) -> tuple[list[CopyPairs], dict[str, Verdicts]]:
    """The pairs with their inliers counted where a second look is worth its time, and what it said, by method.

    Of hashes the upper half of the distances that count as copies; of embeddings every pair that could go, or be a
    label conflict: a high cosine is likeness, not yet a copy. `progress` is told a method and how many of its pairs
    are checked, and gives what is told how many were done.
    """
    checked, verdicts = [], {}
    for part in pairs:
        doubtful = np.flatnonzero(_doubtful(photos, part, settings[part.method], same_identity))
        if not len(doubtful):
            checked.append(part)
            continue
        mask = np.zeros(len(part), bool)
        mask[doubtful] = True
        mirrored = bool(settings[part.method].get("orientations", False))
        advance = progress(part.method, len(doubtful))
        _, found = verify(photos, chosen(part, mask), min_inliers=min_inliers, mirrored=mirrored, advance=advance)
        whole = Verdicts(
            np.full(len(part), NOT_CHECKED, np.int32), np.full(len(part), np.nan, np.float32), np.zeros(len(part), bool)
        )
        whole.inliers[doubtful], whole.agreement[doubtful] = found.inliers, found.agreement
        whole.confirmed[doubtful], whole.notes = found.confirmed, found.notes
        verdicts[part.method] = whole
        checked.append(replace(part, inliers=whole.inliers, notes=part.notes | found.notes))
    return checked, verdicts


def _doubtful(photos: PhotoTable, pairs: CopyPairs, settings: Mapping[str, Any], same_identity: float) -> np.ndarray:
    """(P,) bool."""
    if is_semantic(pairs.method):
        first, second = photos.labels[pairs.first], photos.labels[pairs.second]
        return (first != second) | (first == NO_LABEL) | (pairs.distance <= same_identity)
    return pairs.distance > settings.get("threshold", 0) / 2
