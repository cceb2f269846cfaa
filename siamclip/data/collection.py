"""A collection: photos below a folder, one sub-folder an identity, found and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from siamclip.data.image.decode import IMAGE_EXTENSIONS, probe
from siamclip.data.walk import walk_once
from siamclip.errors import ImageError, UserError
from siamclip.files.markers import MARKER


@dataclass(frozen=True)
class Skipped:
    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Collection:
    """Photos and their identities. `labels[i]` is the identity of `paths[i]`, an index into `identities`.

    Photos of one identity stand together and the order is that of the names: the same folder gives the same
    collection on every machine. Nothing changes a collection; `select` gives another one.
    """

    root: Path
    paths: list[str]  # (N) relative to root, with forward slashes
    labels: np.ndarray  # (N,) int64, ascending
    identities: list[str]  # (C) names of the identities' folders
    skipped: list[Skipped] = field(default_factory=list)  # files below root that are not in `paths`

    @classmethod
    def from_folder(cls, root: Path, workers: int = 8) -> Collection:
        """All photos below `root`, one sub-folder an identity. What is no photo, hidden or unreadable is in `skipped`.

        Headers are read, by a pool of `workers` threads; pixels are not: a photo that is damaged further down shows up
        when it is decoded. Raises UserError if the folder is missing, holds no readable photo, or is an output folder
        of augment.py.
        """
        if not root.is_dir():
            raise UserError("data_dir", "no such folder", "give the folder that holds one sub-folder an identity", root)
        if (root / MARKER).exists():
            problem = "is what augment.py wrote, and its sub-folders are no identities"
            remedy = f"give {root / 'classes'} instead, or `augmented_dir` {root} beside the photos' own folder"
            raise UserError("data_dir", problem, remedy, root)
        candidates, skipped = _candidates(root)
        reasons = _why_unreadable([root / path for _, path in candidates], workers)
        skipped += [Skipped(path, why) for (_, path), why in zip(candidates, reasons, strict=True) if why]
        readable = [candidate for candidate, why in zip(candidates, reasons, strict=True) if why is None]
        if not readable:
            counts = f"{len(candidates)} unreadable photos, {len(skipped) - len(candidates)} other files"
            raise UserError("data_dir", f"holds no readable photo in a sub-folder ({counts})", value=root)
        identities = sorted({name for name, _ in readable})
        number = {name: i for i, name in enumerate(identities)}
        labels = np.array([number[name] for name, _ in readable], dtype=np.int64)
        return cls(root, [path for _, path in readable], labels, identities, skipped)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def files(self) -> list[Path]:
        """(N) where the photos lie, below `root`."""
        return [self.root / path for path in self.paths]

    def select(self, photos: np.ndarray) -> Collection:
        """The photos in the boolean mask (N,), and of the identities those that keep one, relabelled from 0.

        Its `skipped` is empty.
        """
        kept = np.flatnonzero(photos)
        present, labels = np.unique(self.labels[kept], return_inverse=True)
        return Collection(
            self.root, [self.paths[i] for i in kept], labels.astype(np.int64), [self.identities[i] for i in present]
        )


def _candidates(root: Path) -> tuple[list[tuple[str, str]], list[Skipped]]:
    """(identity, relative path) of what is a photo by its name, in the order of the names; and what is none."""
    skipped: list[Skipped] = []
    candidates: list[tuple[str, str]] = []
    for path in _walk(root, skipped):
        relative = path.relative_to(root)
        if any(part.startswith(".") for part in relative.parts):
            skipped.append(Skipped(relative.as_posix(), "hidden"))
        elif path.suffix.lower() not in IMAGE_EXTENSIONS:
            skipped.append(Skipped(relative.as_posix(), "not an image"))
        elif len(relative.parts) == 1:
            skipped.append(Skipped(relative.as_posix(), "not in an identity's folder"))
        else:
            candidates.append((relative.parts[0], relative.as_posix()))
    return sorted(candidates), skipped


def _why_unreadable(files: list[Path], workers: int) -> list[str | None]:
    """The reason of each file whose header cannot be read, None for the others."""

    def reason(file: Path) -> str | None:
        try:
            probe(file)
        except ImageError as error:
            return error.reason
        return None

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(reason, files, chunksize=64))


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Files below root. Links to folders are followed, but no folder is entered twice, so loops end."""

    def cannot_list(error: OSError) -> None:
        name = os.path.relpath(error.filename, root) if error.filename else "?"
        skipped.append(Skipped(name, f"folder cannot be listed ({error.strerror})"))

    def again(folder: str) -> None:
        skipped.append(Skipped(os.path.relpath(folder, root), "the same folder again, through a link"))

    for folder, _, files in walk_once(root, cannot_list, again):
        yield from (Path(folder) / name for name in files)


def check_usable(name: str, side: Collection) -> None:
    """Raise UserError if no positive or no negative pair can be drawn."""
    if len(side.identities) < 2:
        found = counted(len(side.identities), "identity", "identities")
        raise UserError("", f"the {name} side has {found}", "pairs of different vehicles need two or more")
    if np.bincount(side.labels).max() < 2:
        raise UserError(
            "",
            f"the {name} side has no identity with two readable photos",
            "pairs of the same vehicle need two or more photos in at least one sub-folder",
        )


def counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
