"""Runs methods over the scanned table, and has their doubtful pairs checked by geometry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from siamclip.cleaning.contracts import (
    GET_EMBEDDINGS,
    NO_EMBEDDINGS,
    NO_LABEL,
    CopyPairs,
    Findings,
    PhotoTable,
    proposed_removals,
)
from siamclip.cleaning.duplicates.geometry.geometric_verification import NOT_CHECKED, Verdicts, verify
from siamclip.cleaning.duplicates.groups.keepers import rank
from siamclip.cleaning.method_table import METHODS, SCORERS, CleaningMethod
from siamclip.errors import UserError


@dataclass
class MethodResults:
    """What the methods said, in their order.

    `rank`: (N,) int64, the place of each photo among those that could stay for their copies, 0 is the best (see
    keepers.py). `left_out`: method -> why it did not run, and what to do.
    """

    findings: list[Findings]
    pairs: list[CopyPairs]
    rank: np.ndarray
    left_out: dict[str, UserError]


def run_methods(
    photos: PhotoTable,
    methods: Sequence[CleaningMethod],
    settings: Mapping[str, Mapping[str, Any]],
    named: Sequence[str] = (),
    protected: Sequence[str] = (),
    starts: Callable[[str], Any] = lambda name: None,
) -> MethodResults:
    """Each method with its settings; `starts` is told its name.

    First those that see one photo at a time: what they want removed is no keeper of its copies, and in the way of the
    methods that look for outliers and label errors, as a black photo is far from everything. Then those that compare.

    A method that the scan has nothing for is left out, with the reason, unless it is among those `named` one by one:
    then UserError, before any method runs.
    """
    left_out = _left_out(photos, methods, settings, named)
    ready = [method for method in methods if method.name not in left_out]
    found: list[Findings] = []
    for method in ready:
        if not method.compares_photos:
            starts(method.name)
            found.append(method.load()(photos, **settings.get(method.name, {})))
    goes = proposed_removals(found, len(photos))
    order = rank(photos, protected, unwanted=goes & ~photos.is_archived)
    table = replace(photos, preference=order, set_aside=goes)
    pairs: list[CopyPairs] = []
    for method in ready:
        if method.compares_photos:
            starts(method.name)
            result = method.load()(table, **settings.get(method.name, {}))
            if isinstance(result, CopyPairs):
                pairs.append(_checked_pairs(result, method, photos))
            else:
                found.append(_checked_findings(result, method))
    return MethodResults(found, pairs, order, left_out)


def _left_out(
    photos: PhotoTable,
    methods: Sequence[CleaningMethod],
    settings: Mapping[str, Mapping[str, Any]],
    named: Sequence[str],
) -> dict[str, UserError]:
    """Method -> why it cannot run. Raises UserError for one that was named, or whose settings ask for more."""
    found: dict[str, UserError] = {}
    for method in methods:
        given = settings.get(method.name, {})
        lacking = missing(method, photos, given)
        if lacking is not None and not {method.name, *method.aliases}.isdisjoint(named):
            raise UserError("methods", lacking.problem, lacking.remedy, method.name)
        if lacking is not None:
            found[method.name] = lacking
        elif given.get("orientations") and not SCORERS[method.orientations].columns.keys() <= photos.columns.keys():
            raise UserError(
                "set",
                "the scan holds no perceptual hashes in eight orientations",
                "scan again with `orientations`",
                f"{method.name}.orientations=true",
            )
    return found


def missing(method: CleaningMethod, photos: PhotoTable, settings: Mapping[str, Any]) -> UserError | None:
    """What the scan or the settings lack for a method, and what to do; None where they lack nothing."""
    if absent := [name for name in method.requires if settings.get(name) is None]:
        return UserError("", "its setting has no default", f"give `set` {method.name}.{absent[0]}=...")
    for need in method.needs:
        if need == "embedding":
            if photos.embeddings is None:
                return UserError("", NO_EMBEDDINGS, GET_EMBEDDINGS)
        elif need == "labels":
            if (photos.labels == NO_LABEL).all():
                return UserError("", "the photos do not lie in one folder an identity, or `layout` is flat")
        elif need == "iqa":
            if not any(name.startswith("iqa_") for name in photos.columns):
                return UserError("", "the scan holds no such score", "scan again with `iqa` brisque")
        elif not SCORERS[need].columns.keys() <= photos.columns.keys():
            return UserError("", f"the scan holds no {need}", "scan again")
    return None


def _checked_findings(found: Findings, method: CleaningMethod) -> Findings:
    """A keeper was chosen before this method ran, so that it must not want one removed."""
    if not found.keep.all():
        raise AssertionError(f"{method.name}: proposes a removal, which is for methods that see one photo at a time")
    return found


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


def check_doubtful_pairs(
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
        mask = _doubtful(photos, part, settings[part.method], same_identity)
        doubtful = np.flatnonzero(mask)
        if not len(doubtful):
            checked.append(part)
            continue
        mirrored = bool(settings[part.method].get("orientations", False))
        advance = progress(part.method, len(doubtful))
        _, found = verify(photos, part.select(mask), min_inliers=min_inliers, mirrored=mirrored, advance=advance)
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
    if METHODS[pairs.method].semantic:
        first, second = photos.labels[pairs.first], photos.labels[pairs.second]
        return (first != second) | (first == NO_LABEL) | (pairs.distance <= same_identity)
    return pairs.distance > settings.get("threshold", 0) / 2
