"""Which of the images that augment.py made may be trained on, and with what labels."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection as Container
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output.manifest import read_manifest
from siamclip.data.collection import Collection
from siamclip.data.image.decode import probe
from siamclip.data.plate_names import identity_of, plate_of
from siamclip.errors import ImageError, UserError
from siamclip.training.soft_labels import SoftLabels

HELD_OUT = "made of an identity that is held out for validation or test"
NO_PHOTO = "made of what is no training photo"
NEEDS_SOFT_LOSS = "of several identities, which the contrastive loss alone understands"
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class AugmentedImages:
    """Images made of training photos. `labels` index into the train side's identities; `paths` lie below `folder`."""

    folder: Path
    paths: list[str]
    labels: SoftLabels
    left_out: Counter[str]  # reason -> images
    skipped: list[tuple[str, str]]  # (path, reason) of those that cannot be read

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        return [self.folder / path for path in self.paths]

    @property
    def fingerprint(self) -> str:
        """A hash of names, order, sizes in bytes and labels: a run goes on only with those it was started with."""
        digest = xxhash.xxh3_128()
        for path, file in zip(self.paths, self.files, strict=True):
            digest.update(path.encode("utf-8", "surrogatepass") + b"\0%d\0" % file.stat().st_size)
        for table in (self.labels.identities, self.labels.shares):
            digest.update(repr((table.shape, table.tolist())).encode())
        return digest.hexdigest()

    def note(self) -> str:
        """One line: how many there are, and how many were left out and why."""
        mixed = int(self.labels.mixed.sum())
        of_several = f", {mixed} of them of several identities" if mixed else ""
        line = f"{self.folder}: {len(self)} augmented images{of_several}"
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.left_out.most_common())
        return f"{line}; left out: {reasons}" if reasons else line


def usable_images(
    folder: Path, train: Collection, held_out: Container[str], soft_labels: bool, workers: int = 8
) -> AugmentedImages:
    """The images of an output folder of augment.py that were kept and are made of the train side alone.

    Every parent must be a photo of `train` (by its path relative to what augment.py was given), and no identity of a
    parent or a label may share its plate with one of `held_out`, the identities of validation and test. Without
    `soft_labels` images of several identities are left out. Headers are read by `workers` threads. Raises UserError if
    nothing is left.
    """
    rows = read_manifest(folder)
    numbers = {_composed(name): i for i, name in enumerate(train.identities)}
    plates = {plate_of(name) for name in held_out}
    photos = {_composed(path) for path in train.paths}
    left_out: Counter[str] = Counter()
    candidates = []
    for row in sorted(rows, key=lambda row: row.path):
        if why := _reason_against(row, numbers, photos, plates, soft_labels):
            left_out[why] += 1
        else:
            candidates.append(row)

    def damage(row: MadeImage) -> str | None:
        try:
            probe(folder / row.path)
        except ImageError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(workers) as pool:
        damages = list(pool.map(damage, candidates, chunksize=64))
    skipped = [(row.path, why) for row, why in zip(candidates, damages, strict=True) if why]
    if skipped:
        left_out[UNREADABLE] = len(skipped)
    kept = [row for row, why in zip(candidates, damages, strict=True) if why is None]
    if not kept:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left_out.most_common())
        problem = f"none of its {len(rows)} images can be trained on ({reasons or 'it is empty'})"
        remedy = "give augment.py the folder that is trained on as its `input_dir`"
        raise UserError("augmented_dir", problem, remedy, folder)
    return AugmentedImages(folder, [row.path for row in kept], _labels(kept, numbers), left_out, skipped)


def _reason_against(
    row: MadeImage, numbers: dict[str, int], photos: set[str], held_out: set[str], soft_labels: bool
) -> str | None:
    parents = [path for path in (row.first, row.second) if path]
    identities = [*row.soft_label, *map(identity_of, parents)]
    if row.rejected:
        return "rejected by augment.py's gate"
    if any(plate_of(name) in held_out for name in identities):
        return HELD_OUT
    known = all(_composed(path) in photos for path in parents) and all(_composed(n) in numbers for n in row.soft_label)
    if not parents or not known:
        return NO_PHOTO
    if len(row.soft_label) > 1 and not soft_labels:
        return NEEDS_SOFT_LOSS
    return None


def _labels(rows: Sequence[MadeImage], numbers: dict[str, int]) -> SoftLabels:
    width = max(len(row.soft_label) for row in rows)
    identities, shares = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        given = len(row.soft_label)
        identities[i, :given] = [numbers[_composed(name)] for name in row.soft_label]
        shares[i, :given] = list(row.soft_label.values())
    shares /= shares.sum(axis=1, keepdims=True)  # 1 but for the digits that were written
    return SoftLabels(identities, shares)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)  # macOS writes names decomposed
