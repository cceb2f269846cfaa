"""From class folders to what a run trains, validates and tests on: photos split by identity, images made of them.

One sub-folder of the data folder is one identity; whatever lies below it, at any depth, shows that identity.
Two folders whose names agree up to a ``~`` (``京A12345`` and ``京A12345~2``) are two vehicles that carry the same
plate: two identities, always on the same side of the split, so that cloned plates can be evaluated.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xxhash

from config import DataSettings
from siamclip.data.collection import Collection, Skipped, check_usable, counted
from siamclip.data.duplicate_groups import read_groups
from siamclip.data.image.decode import content_hash
from siamclip.data.plate_names import plate_of
from siamclip.errors import UserError, printable
from siamclip.training.images.augmented_images import AugmentedImages, usable_images

if TYPE_CHECKING:
    from rich.table import Table

SPLITS = ("train", "val", "test")
FEWEST_IDENTITIES = 6  # two a split: one to tell apart and one to tell it from


# -- split ----------------------------------------------------------------------------------------------------


def joined_plates(collection: Collection, groups: list[tuple[str, str]]) -> dict[str, str]:
    """Plate -> the first name of those that duplicates join it to, for every plate that has photos in such a group.

    `groups`: (path relative to the collection's root, group) each; what joins A to B and B to C joins A to C. Photos
    that are not in the collection any more join nothing.
    """
    present = {unicodedata.normalize("NFC", path) for path in collection.paths}
    first: dict[str, str] = {}  # plate -> another of its part with a smaller name, or itself

    def root(plate: str) -> str:
        while first[plate] != plate:
            first[plate] = first[first[plate]]
            plate = first[plate]
        return plate

    plate_in: dict[str, str] = {}
    for path, group in groups:
        if unicodedata.normalize("NFC", path) in present:
            plate = plate_of(path.split("/", 1)[0])
            first.setdefault(plate, plate)
            one, other = sorted((root(plate), root(plate_in.setdefault(group, plate))))
            first[other] = one
    return {plate: root(plate) for plate in first}


def split_position(identity: str, seed: int) -> float:
    """A number in [0, 1) that depends on the plate and the seed alone: the side does not change when others come."""
    return xxhash.xxh64(plate_of(identity).encode("utf-8", "surrogatepass"), seed=seed).intdigest() / 2**64


def split_identities(
    identities: list[str], val_ratio: float, test_ratio: float, seed: int, joined: Mapping[str, str] | None = None
) -> np.ndarray:
    """(C,) int8: 0 train, 1 validation, 2 test, by the hash of the name.

    Identities whose plates have one name in `joined` (see joined_plates) go to the side of that name; all others keep
    theirs. A collection so small that a side would have fewer than two identities gets the nearest ones moved there.
    Raises UserError below six identities, or parts of joined ones.
    """
    if val_ratio + test_ratio >= 1:
        raise UserError("", f"`val_ratio` {val_ratio} and `test_ratio` {test_ratio}: nothing is left to train on")
    units = [(joined or {}).get(plate, plate) for plate in map(plate_of, identities)]  # lie on one side together
    positions = np.array([split_position(unit, seed) for unit in units])
    sides = np.where(positions < test_ratio, 2, np.where(positions < test_ratio + val_ratio, 1, 0)).astype(np.int8)
    wanted = {side: 2 for side, ratio in ((2, test_ratio), (1, val_ratio), (0, 1.0)) if ratio > 0}
    if all((sides == side).sum() >= least for side, least in wanted.items()):
        return sides
    plates = sorted(set(units), key=lambda plate: split_position(plate, seed))
    if len(plates) < FEWEST_IDENTITIES:
        found = counted(len(plates), "identity", "identities")
        if joined and len(plates) < len(set(map(plate_of, identities))):
            found += " that no duplicates join"
        problem = f"{found} cannot be split into train, validation and test with two each"
        folders = "three folders with `train_dir`, `val_dir` and `test_dir`"
        raise UserError("data_dir", problem, f"give {FEWEST_IDENTITIES} sub-folders or more, or {folders}")
    tests = max(2, round(test_ratio * len(plates))) if test_ratio > 0 else 0
    vals = max(2, round(val_ratio * len(plates)))
    while tests + vals > len(plates) - 2:
        tests, vals = (tests - 1, vals) if tests > 2 else (tests, vals - 1)
    side_of = {plate: 2 if i < tests else 1 if i < tests + vals else 0 for i, plate in enumerate(plates)}
    return np.array([side_of[unit] for unit in units], dtype=np.int8)


@dataclass
class Splits:
    """The photos of the three sides; no identity and no plate is on two of them."""

    train: Collection
    val: Collection
    test: Collection
    skipped: list[Skipped]
    leaks: list[tuple[str, ...]]  # byte-identical files that lie on two sides
    joined: int = 0  # identities that duplicate_groups keeps on one side with others


def load_splits(settings: DataSettings) -> Splits:
    """The three sides, from three given folders or by a split of one. Raises UserError if one cannot be used."""
    given = [settings.train_dir, settings.val_dir, settings.test_dir]
    joined: dict[str, str] = {}
    if any(given):
        if not all(given):
            raise UserError("", "`train_dir`, `val_dir` and `test_dir`: give all three or none")
        if settings.duplicate_groups:
            problem = "three given folders are taken as they are"
            raise UserError("duplicate_groups", problem, "leave it out, or split `data_dir`")
        sides = [Collection.from_folder(Path(folder)) for folder in given if folder]
        skipped = [file for side in sides for file in side.skipped]
    else:
        whole = Collection.from_folder(Path(settings.data_dir))
        if len(whole.identities) < 2:
            problem = f"has one identity alone ({whole.identities[0]!r})"
            remedy = "different vehicles can only be learnt from two sub-folders or more"
            raise UserError("data_dir", problem, remedy, settings.data_dir)
        if settings.duplicate_groups:
            joined = _read_joined(Path(settings.duplicate_groups), whole)
        assigned = split_identities(whole.identities, settings.val_ratio, settings.test_ratio, settings.seed, joined)
        sides = [whole.select(assigned[whole.labels] == side) for side in range(3)]
        skipped = whole.skipped
    for name, side in zip(SPLITS, sides, strict=True):
        if name != "test" or side.identities:
            check_usable(name, side)
    train, val, test = sides
    plates_joined = Counter(joined.values())
    plates = (plate_of(name) for side in sides for name in side.identities)
    in_parts = sum(plate in joined and plates_joined[joined[plate]] > 1 for plate in plates)
    return Splits(train, val, test, skipped, byte_identical(sides), in_parts)


def load_augmented(folders: Sequence[str], splits: Splits, soft_labels: bool) -> list[AugmentedImages]:
    """What augment.py made of the train side: no image that shows or is made of a validation or test identity.

    Images of several identities only with `soft_labels`. Raises UserError for a folder of which nothing can be used.
    """
    held_out = [*splits.val.identities, *splits.test.identities]
    return [usable_images(Path(folder), splits.train, held_out, soft_labels) for folder in folders]


def _read_joined(file: Path, whole: Collection) -> dict[str, str]:
    groups = read_groups(file)
    joined = joined_plates(whole, groups)
    if groups and not joined:
        problem = f"none of its photos lies in `data_dir` {whole.root}"
        raise UserError("duplicate_groups", problem, "its paths are relative to the folder that clean.py scanned", file)
    return joined


def data_table(title: str, splits: Splits) -> Table:
    from rich.table import Table

    table = Table("side", "identities", "photos", title=title)
    for name in SPLITS:
        side = getattr(splits, name)
        table.add_row(name, str(len(side.identities)), str(len(side)))
    return table


def data_notes(splits: Splits) -> list[str]:
    """What to know before training: how many files were left out and why, and identical files on two sides."""
    notes = []
    if splits.skipped:
        reasons = Counter(file.reason for file in splits.skipped).most_common()
        notes.append("left out: " + ", ".join(f"{number} {reason}" for reason, number in reasons))
    if splits.joined:
        notes.append(f"duplicates keep {splits.joined} identities on one side with each other")
    notes += [f"the same bytes on two sides: {' = '.join(map(printable, group))}" for group in splits.leaks[:5]]
    if len(splits.leaks) > 5:
        notes.append(f"... and {len(splits.leaks) - 5} more groups of identical files on two sides")
    return notes


def byte_identical(sides: list[Collection]) -> list[tuple[str, ...]]:
    """Groups of files with the same bytes that lie on more than one side. Only files of equal size are read."""
    by_size = defaultdict(list)
    for number, side in enumerate(sides):
        for file in side.files:
            by_size[file.stat().st_size].append((number, file))
    groups = []
    for same_size in by_size.values():
        if len({number for number, _ in same_size}) < 2:
            continue
        by_hash = defaultdict(list)
        for number, file in same_size:
            by_hash[content_hash(file)].append((number, file))
        groups += [
            tuple(str(file) for _, file in group)
            for group in by_hash.values()
            if len({number for number, _ in group}) > 1
        ]
    return groups
