"""What a scan has to read: the listing against what earlier scans know, column against column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.feature_parts import Features
from siamclip.cleaning.scan.table.file_table import STATUS, FileTable, identities, known_files, places
from siamclip.cleaning.scan.table.inventory import Listing
from siamclip.cleaning.scan.table.records import FILE_DTYPE, ImageScorer
from siamclip.cleaning.scan.worker import Task

if TYPE_CHECKING:
    from siamclip.embedding.store import EmbeddingStore

# A task is what a worker does between two messages: many small files, or few large ones.
_FILES_A_TASK = 64
_BYTES_A_TASK = 8 << 20
_PATH_BYTES_A_TASK = 16 << 10  # a message that fits a pipe's buffer never blocks the scan
_VECTORS_AT_ONCE = 8_192


@dataclass
class ScanPlan:
    """`files`: the listing with the contents that hold still. The other arrays have one row a file of it.

    `path_before`: row in `before` of the same path, -1 where there was none; `known_as`: row in `before` of the same
    file, under whatever path, unchanged. `to_read`: bool (N,); `missing`: bool (N, scorers + 1), for what, the last
    being the embedding. `complete`: sorted (K,) S32, contents that lack nothing, of sizes that are to be read.
    """

    before: FileTable
    files: FileTable
    path_before: np.ndarray
    known_as: np.ndarray
    to_read: np.ndarray
    missing: np.ndarray
    complete: np.ndarray

    def tasks(self, workers: int) -> Iterator[Task]:
        """The files to read, those together that lack the same."""
        todo = np.flatnonzero(self.to_read)
        most = max(1, min(_FILES_A_TASK, -(-len(todo) // (2 * workers))))
        kinds, kind = np.unique(self.missing[todo], axis=0, return_inverse=True)
        for i, lacks in enumerate(kinds):
            wanted = tuple(np.flatnonzero(lacks[:-1]).tolist())
            for rows in _split(self.files, todo[kind.reshape(-1) == i], most):
                yield Task(rows, self.files.paths.take(rows).to_pylist(), wanted, bool(lacks[-1]))

    def moved_and_gone(self) -> tuple[int, int]:
        """Once all is read: files under a new path, matched with those that went by identity, else by content; and
        those that went for good."""
        went = np.ones(len(self.before), bool)
        went[self.path_before[self.path_before >= 0]] = False
        by_identity = (self.path_before < 0) & (self.known_as >= 0)
        went[self.known_as[by_identity]] = False
        old = self.before.status["content"][went]
        new = self.files.status["content"][(self.path_before < 0) & ~by_identity]
        old, old_counts = np.unique(old[old != b""], return_counts=True)
        new, new_counts = np.unique(new[new != b""], return_counts=True)
        _, i, j = np.intersect1d(old, new, assume_unique=True, return_indices=True)
        by_content = int(np.minimum(old_counts[i], new_counts[j]).sum())
        return int(by_identity.sum()) + by_content, int(went.sum()) - by_content


def plan_scan(
    run: RunFolder,
    listing: Listing,
    scorers: tuple[ImageScorer, ...],
    fingerprint: str,
    store: EmbeddingStore | None,
    reread: bool,
) -> ScanPlan:
    """`fingerprint` and `store` are the embedder's; `reread` takes nothing for known."""
    before = known_files(run)
    path_before = places(listing.paths, before.paths)
    known_as = np.where(_unchanged(listing, before, path_before), path_before, -1)
    status = np.zeros(len(listing), FILE_DTYPE)
    for name in STATUS:
        status[name] = getattr(listing, name)
    new = np.flatnonzero(path_before < 0)
    if len(new) and len(before):
        known_as[new] = _moved(status, new, before, path_before)
    if reread:
        known_as[:] = -1
    known = known_as >= 0
    status["content"][known] = before.status["content"][known_as[known]]

    lacks = _lacks(Features(run, before.status["content"]), before, scorers, fingerprint, store)
    missing = np.ones((len(listing), len(scorers) + 1), bool)
    missing[:, -1] = store is not None
    missing[known] = lacks[known_as[known]]
    complete = np.zeros(0, "S32")
    if not reread:
        whole = ~lacks.any(axis=1) & np.isin(before.status["size"], status["size"][~known])
        complete = np.unique(before.status["content"][whole & (before.status["content"] != b"")])
    files = FileTable(listing.paths, status, np.full(len(listing), "", object))
    to_read = ~known | missing.any(axis=1)
    return ScanPlan(before, files, path_before, known_as, to_read, missing, complete)


def _unchanged(listing: Listing, before: FileTable, path_before: np.ndarray) -> np.ndarray:
    """(N,) bool: the path was there with the same size, time and inode, and could be read."""
    same = path_before >= 0
    old = before.status[path_before[same]]
    held = old["content"] != b""
    for name in ("size", "mtime_ns", "inode"):  # a device's number may be another after a restart
        held &= old[name] == getattr(listing, name)[same]
    found = np.zeros(len(listing), bool)
    found[same] = held
    return found


def _moved(status: np.ndarray, new: np.ndarray, before: FileTable, path_before: np.ndarray) -> np.ndarray:
    """(len(new),) row in `before` of a file that went and has the identity of this new one, else -1."""
    went = np.ones(len(before), bool)
    went[path_before[path_before >= 0]] = False
    went &= (before.status["inode"] != 0) & (before.status["content"] != b"")
    gone = np.flatnonzero(went)
    place = places(identities(status[new]), identities(before.status[gone]))
    return np.where(place >= 0, gone[np.maximum(place, 0)] if len(gone) else -1, -1)


def _lacks(
    features: Features,
    before: FileTable,
    scorers: tuple[ImageScorer, ...],
    fingerprint: str,
    store: EmbeddingStore | None,
) -> np.ndarray:
    """bool (M, scorers + 1): what each known content lacks. Nothing, where the decoder refuses it."""
    lacks = np.zeros((len(before), len(scorers) + 1), bool)
    for i, scorer in enumerate(scorers):
        lacks[:, i] = ~features.known(scorer)
    if store is not None:
        contents = before.status["content"]
        for start in range(0, len(contents), _VECTORS_AT_ONCE):  # the store hands out vectors, not only whether
            batch = [content.decode() for content in contents[start : start + _VECTORS_AT_ONCE].tolist()]
            lacks[start : start + len(batch), -1] = ~store.get(batch)[1]
        lacks[features.not_embedded(fingerprint) != "", -1] = False
    lacks[features.undecodable() != ""] = False
    return lacks


def _split(files: FileTable, rows: np.ndarray, most: int) -> Iterator[np.ndarray]:
    import pyarrow.compute as pc

    sizes = files.status["size"][rows].tolist()
    lengths = pc.binary_length(files.paths.take(rows)).to_pylist()
    start = size = length = 0
    for i in range(len(rows)):
        size, length = size + sizes[i], length + lengths[i]
        if i > start and (i - start >= most or size > _BYTES_A_TASK or length > _PATH_BYTES_A_TASK):
            yield rows[start:i]
            start, size, length = i, sizes[i], lengths[i]
    yield rows[start:]
