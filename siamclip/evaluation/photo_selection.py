"""Which photos are evaluated, which choose the threshold, and whether the checkpoint has seen them before."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection as Container
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.data.collection import Collection, check_usable
from siamclip.errors import UserError

FEW_IDENTITIES = 30  # below that, intervals from a bootstrap over identities are clearly too narrow
SIDES = {
    "test": "test identities",
    "val": "validation identities",
    "all": "all identities",
    "unseen": "unseen identities",  # a folder of other identities than those of the training
}


@dataclass(frozen=True)
class SeenIdentities:
    """Names (NFC) of the identities that a checkpoint was trained on, and of those that chose epoch and threshold."""

    train: frozenset[str]
    val: frozenset[str]

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> SeenIdentities | None:
        """As a checkpoint's metadata names them; None where they do not."""
        split = metadata.get("split")
        if not isinstance(split, dict) or not all(isinstance(split.get(side), list) for side in ("train", "val")):
            return None
        train = composed(split["train"])
        return cls(train, composed(split["val"]) - train)

    def side_of(self, collection: Collection) -> np.ndarray:
        """(N,) "train", "val" or "test" for each photo; identities that came after the training are as good as test."""
        sides = []
        for name in collection.identities:
            (known,) = composed([name])
            sides.append("train" if known in self.train else "val" if known in self.val else "test")
        return np.array(sides)[collection.labels]


def composed(names: Sequence[str]) -> frozenset[str]:
    """The names in NFC: macOS writes them decomposed, and the same folder may come back in another form."""
    return frozenset(unicodedata.normalize("NFC", name) for name in names)


@dataclass(frozen=True)
class EvaluatedPhotos:
    """The photos that are evaluated, and those that choose threshold and calibration (None: there are none).

    side: what the evaluated identities are called in the report. left_out: (path, reason) of other files.
    """

    evaluated: Collection
    validation: Collection | None
    side: str
    left_out: list[tuple[str, str]]

    def files(self) -> list[Path]:
        """Each file once, even where the two overlap."""
        return list(dict.fromkeys([*self.evaluated.files, *(self.validation.files if self.validation else ())]))

    def without(self, unreadable: Mapping[Path, str]) -> EvaluatedPhotos:
        """Less the photos that could not be decoded. Raises UserError if too few are left to evaluate."""
        left_out = [*self.left_out, *((str(path), reason) for path, reason in unreadable.items())]
        evaluated = _readable(self.evaluated, unreadable)
        check_usable("evaluated", evaluated)
        validation = None if self.validation is None else _readable(self.validation, unreadable)
        return replace(self, evaluated=evaluated, validation=validation, left_out=left_out)


def _readable(collection: Collection, unreadable: Container[Path]) -> Collection:
    return collection.select(np.array([file not in unreadable for file in collection.files], dtype=bool))


def select_photos(
    whole: Collection, elsewhere: Collection | None, seen: SeenIdentities | None, split: str | None
) -> EvaluatedPhotos:
    """Evaluated photos, of `whole`, and validation photos, of the folder `elsewhere` or, without one, of `whole`.

    split: "test", "val" or "all". None: the identities that the checkpoint has not seen, which are all of a folder of
    other identities; of a folder that holds nobody but validation identities, these. Raises UserError where that leaves
    nobody, and for a checkpoint that does not say what it has seen, unless all are asked for.
    """
    left_out = [(file.path, file.reason) for file in whole.skipped]
    if elsewhere is not None:
        left_out += [(str(elsewhere.root / file.path), file.reason) for file in elsewhere.skipped]
    if seen is None:
        if split != "all":
            raise UserError("checkpoint", "does not say what it was trained on", "train again, or give `split` all")
        nobody = whole.select(np.full(len(whole), False))
        return EvaluatedPhotos(whole, elsewhere or nobody, SIDES["all"], left_out)
    sides = seen.side_of(whole)
    chosen = split or ("val" if (sides == "val").all() else "test")
    wanted = np.full(len(whole), True) if chosen == "all" else sides == chosen
    if not wanted.any():
        problem = f"none of its {len(whole.identities)} identities is among the {SIDES[chosen]} of this checkpoint"
        raise UserError("data_dir", problem, "give other photos, or `split` all", whole.root)
    if elsewhere is None:
        validation = whole.select(sides == "val")
    else:
        validation = elsewhere.select(seen.side_of(elsewhere) != "train")
    side = SIDES["unseen"] if split is None and (sides == "test").all() else SIDES[chosen]
    return EvaluatedPhotos(whole.select(wanted), validation, side, left_out)


def fairness_notes(photos: EvaluatedPhotos, seen: SeenIdentities | None) -> list[str]:
    """What makes the metrics better than they will be on vehicles that the checkpoint has not seen."""
    identities = composed(photos.evaluated.identities)
    if seen is None:
        return ["The checkpoint does not say what it was trained on: whether these figures flatter cannot be told."]
    notes = []
    of_these = f"of these {len(photos.evaluated.identities)} identities: these figures flatter."
    if trained := len(identities & seen.train):
        notes.append(f"The checkpoint was trained on {trained} {of_these}")
    if validated := len(identities & seen.val):
        notes.append(f"Epoch and threshold of the checkpoint were chosen on {validated} {of_these}")
    return notes


def few_identities_note(photos: EvaluatedPhotos) -> list[str]:
    number = len(photos.evaluated.identities)
    few = f"Only {number} identities are evaluated: the true intervals are wider than these."
    return [few] if number < FEW_IDENTITIES else []
