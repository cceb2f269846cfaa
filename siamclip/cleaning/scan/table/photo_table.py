"""The scanned table as the methods see it: a row a photo, with columns, labels and embeddings."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.cleaning.method_table import SCORERS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.feature_parts import Features
from siamclip.cleaning.scan.table.file_table import FileTable, as_text, identities, places, read_photos
from siamclip.cleaning.scan.table.records import ImageScorer, missing_value
from siamclip.cleaning.scan.table.state import ScanState, read_state
from siamclip.errors import UserError, printable

Layout = Literal["classes", "sides", "flat"]
SIDES = {"train": 0, "val": 1, "validation": 1, "test": 2}

log = logging.getLogger(__name__)


@dataclass
class _Collection:
    """The photos of one RUN. `folders[i]`: the folder that is the label of photo i, "" where it has none."""

    run: RunFolder
    state: ScanState
    files: FileTable
    paths: list[str]
    folders: list[str]
    sides: list[int] | None
    columns: dict[str, np.ndarray]
    vectors: np.ndarray | None

    def __len__(self) -> int:
        return len(self.paths)


def open_photos(
    run: RunFolder | Path,
    *,
    layout: Layout = "classes",
    embedder: str = "",
    archive: RunFolder | Path | None = None,
    columns: Iterable[str] | None = None,
    embeddings: bool = True,
) -> PhotoTable:
    """The photos of the last whole scan of RUN; links and second names of a file are not among them.

    `layout`: "classes", the first folder of a path is its label; "sides", the first is train, val, validation or
    test and the second is the label; "flat", there are no labels. `embedder`: name or fingerprint, where several
    ran; else the last scan's. `archive`: another RUN, whose photos follow with absolute paths and `archived` set, but
    for those that are files of this collection too. `columns`: those to load, None for all, () for none; one that is
    not known of every readable photo is left out, as are the embeddings without `embeddings`. Raises UserError.
    """
    run, wanted = _folder(run), None if columns is None else set(columns)
    files, state = scanned_files(run)
    fingerprint = _fingerprint(run, state, embedder) if embeddings else ""
    new = _collection(run, files, state, layout, wanted, fingerprint)
    together = [new]
    if archive is not None:
        old = _folder(archive)
        if old.path.resolve() == run.path.resolve():
            raise UserError("new_against", "is the RUN itself", "give that of the archive", old)
        files, old_state = scanned_files(old)
        if fingerprint and fingerprint not in old_state.embedders:
            name = state.embedders[fingerprint]["name"]
            raise UserError("new_against", f"was not scanned with the embedder {name}", "scan it again with that", old)
        files = _others(run, new, old, files)
        together.append(_collection(old, files, old_state, layout, wanted, fingerprint))
    return _joined(together, fingerprint)


def _folder(run: RunFolder | Path) -> RunFolder:
    return run if isinstance(run, RunFolder) else RunFolder(run)


def scanned_files(run: RunFolder) -> tuple[FileTable, ScanState]:
    """The photos of the last scan of RUN, and its state. Raises UserError where there is no whole scan."""
    root = run.root  # raises UserError where this is no RUN
    state = read_state(run)
    if state is None or not state.complete:
        what = "holds no scan" if state is None else "holds a scan that was interrupted (what it read is kept)"
        raise UserError("", f"{run}: {what}", f"run python clean.py scan {root} `out` {run}")
    return read_photos(run), state


def _collection(
    run: RunFolder, files: FileTable, state: ScanState, layout: Layout, wanted: set[str] | None, fingerprint: str
) -> _Collection:
    paths = as_text(files.paths)
    folders, sides = _labels(run.root, paths, layout)
    columns = _columns(run, files, state, wanted)
    return _Collection(run, state, files, paths, folders, sides, columns, _vectors(run, files, state, fingerprint))


def _columns(run: RunFolder, files: FileTable, state: ScanState, wanted: set[str] | None) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    if wanted is not None and not wanted:
        return found
    features = Features(run, files.status["content"])
    readable = files.errors == ""
    for scorer in state.image_scorers():
        names = [name for name in scorer.columns if wanted is None or name in wanted]
        if names and _is_current(scorer):
            if not features.known(scorer)[readable].all():  # a part was damaged, and is removed
                raise UserError("", f"{run}: lacks {scorer.name} of some photos", "scan again, which reads only those")
            found |= features.columns(scorer, names)
    for column in found.values():
        column[~readable] = missing_value(column.dtype.str)
    return found


def _is_current(scorer: ImageScorer) -> bool:
    """Values of another version of a scorer are not what its methods expect."""
    return scorer.name not in SCORERS or str(SCORERS[scorer.name].version) == scorer.version


def _fingerprint(run: RunFolder, state: ScanState, wanted: str) -> str:
    """Of the embedder to use; "" where none ran and none is wanted."""
    if not wanted:
        return state.embedder
    found = [key for key, one in state.embedders.items() if wanted in (key, one["name"])]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{one['name']} ({key})" for key, one in state.embedders.items()) or "none"
    problem = "several embedders have that name, give the fingerprint" if found else "no such embedder in the scan"
    raise UserError("embedder", problem, f"{run} has {there}", wanted)


def _vectors(run: RunFolder, files: FileTable, state: ScanState, fingerprint: str) -> np.ndarray | None:
    if not fingerprint:
        return None
    from siamclip.embedding.store import EmbeddingStore

    store = EmbeddingStore(run.embeddings, fingerprint, state.embedders[fingerprint]["dimension"])
    contents = np.where(files.errors == "", files.status["content"], b"")
    return store.get([content.decode() for content in contents.tolist()])[0]


def _labels(root: Path, paths: list[str], layout: Layout) -> tuple[list[str], list[int] | None]:
    """(folder that is the label, "" for none), and the side of the split."""
    if layout == "flat":
        return [""] * len(paths), None
    if layout == "classes":
        return [path.partition("/")[0] if "/" in path else "" for path in paths], None
    folders, sides = [], []
    for path in paths:
        side, _, rest = path.partition("/")
        if side.lower() not in SIDES or not rest:
            raise UserError(
                "",
                f"{root}: `layout` sides needs folders {', '.join(SIDES)}",
                f"{printable(path)} lies in none of them",
            )
        sides.append(SIDES[side.lower()])
        folders.append(rest.partition("/")[0] if "/" in rest else "")
    return folders, sides


def _others(run: RunFolder, new: _Collection, archive: RunFolder, old: FileTable) -> FileTable:
    """The archive's files but for those that are in the new collection too: a photo is no copy of itself."""
    same = (places(identities(old.status), identities(new.files.status)) >= 0) & (old.status["inode"] != 0)
    root, archive_root = run.root, archive.root
    if root == archive_root or root in archive_root.parents or archive_root in root.parents:
        here = {f"{root.as_posix()}/{path}" for path in new.paths}
        same |= np.array([f"{archive_root.as_posix()}/{path}" in here for path in as_text(old.paths)], bool)
    if same.any():
        log.info("%s: %d photos of the archive are photos of %s and are counted there", archive, same.sum(), root)
    return FileTable(old.paths.filter(pa.array(~same)), old.status[~same], old.errors[~same])


def _joined(together: list[_Collection], fingerprint: str) -> PhotoTable:
    new, *archives = together
    for old in archives:
        lacking = sorted(new.columns.keys() - old.columns.keys())
        if lacking:
            raise UserError("new_against", f"its scan lacks {', '.join(lacking)}", "scan it again", old.run)
    folders = [folder for one in together for folder in one.folders]
    names = sorted({folder for folder in folders if folder})
    number = {"": NO_LABEL} | {name: i for i, name in enumerate(names)}
    status = np.concatenate([one.files.status for one in together])
    sides = None if new.sides is None else np.array([side for one in together for side in one.sides or ()], np.int8)
    paths = list(new.paths)
    for old in archives:
        root = old.run.root
        paths += [f"{root.as_posix()}/{path}" for path in old.paths]
    return PhotoTable(
        root=new.run.root,
        paths=paths,
        content=status["content"].copy(),
        bytes=status["size"].copy(),
        errors=[error for one in together for error in one.files.errors.tolist()],
        labels=np.array([number[folder] for folder in folders], np.int64),
        identities=names,
        columns={name: np.concatenate([one.columns[name] for one in together]) for name in new.columns},
        embeddings=np.concatenate([one.vectors for one in together]) if fingerprint else None,
        embedder=new.state.embedders[fingerprint]["name"] if fingerprint else "",
        same_distance=new.state.embedders[fingerprint].get("threshold") if fingerprint else None,
        archived=np.repeat([False, True], [len(new), len(status) - len(new)]) if archives else None,
        sides=sides,
    )
