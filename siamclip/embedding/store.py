"""Embeddings on disk, by the content of the photo: what was embedded once is not embedded again.

    <folder>/<fingerprint>/<xxh3-128 of the file>.npy    a part: one structured array (key: 16 bytes, vector)

Parts are only ever added, under the name that their content gives them, in one step: a process that is killed
leaves whole parts, and two processes at once write different parts or the same one. Many small parts are merged
into one, which is written before they are removed. Parts are mapped into memory, not read into it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xxhash

from siamclip.files.atomic import write_atomically

MERGE_FROM = 16  # small parts; fewer are not worth writing their content again
SMALL_PART = 65_536  # rows; a part that has grown to this is never written again
_ABANDONED_SECONDS = 3600.0  # a half-written file this old belongs to a process that is gone

log = logging.getLogger(__name__)


class EmbeddingStore:
    """Content hash (`decode.content_hash`) -> float32 vector of one embedder (`Embedder.fingerprint`).

    What another process adds is seen by the next store that is opened. `folder=None` remembers for as long as
    the object lives, as does a folder that cannot be written to, after a warning. A damaged part is removed
    with a warning; its photos are then unknown again.
    """

    def __init__(self, folder: Path | None, fingerprint: str, dimension: int) -> None:
        self._row_type = np.dtype([("key", np.uint8, 16), ("vector", "<f4", dimension)])
        self._folder = None if folder is None else folder / fingerprint
        self._parts: list[np.ndarray] = []
        self._files: dict[Path, int] = {}  # file -> number of its part
        self._places: dict[bytes, tuple[int, int]] = {}  # key -> part, row
        if self._folder is not None:
            self._load(self._folder)
            _sweep(self._folder)

    def __len__(self) -> int:
        return len(self._places)

    def get(self, hashes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, dimension) float32 vectors, NaN where unknown, and the (N,) bool mask of the known ones."""
        vectors = np.full((len(hashes), self._row_type["vector"].shape[0]), np.nan, np.float32)
        known = np.zeros(len(hashes), bool)
        for i, digest in enumerate(hashes):
            place = self._places.get(bytes.fromhex(digest))
            if place is not None:
                part, row = place
                vectors[i] = self._parts[part]["vector"][row]
                known[i] = True
        return vectors, known

    def add(self, hashes: Sequence[str], vectors: np.ndarray) -> None:
        """Remember (N, dimension) vectors; those that are known already, and rows with NaN, are left out."""
        new = {
            bytes.fromhex(digest): i
            for i, digest in enumerate(hashes)
            if bytes.fromhex(digest) not in self._places and np.isfinite(vectors[i]).all()
        }
        if not new:
            return
        keys = sorted(new)
        rows = np.empty(len(keys), self._row_type)
        rows["key"] = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16)
        rows["vector"] = vectors[[new[key] for key in keys]]
        path = self._write(rows)
        if path is None:
            self._register(rows)
        else:
            self._files[path] = self._register(self._reopened(path, rows))
            self._merge()

    def _register(self, part: np.ndarray) -> int:
        self._parts.append(part)
        number = len(self._parts) - 1
        keys = np.ascontiguousarray(part["key"]).tobytes()
        self._places.update({keys[16 * i : 16 * i + 16]: (number, i) for i in range(len(part))})
        return number

    def _load(self, folder: Path) -> None:
        """Open every part. A part that vanishes meanwhile was merged by another process into a new one."""
        unreadable: set[Path] = set()
        while True:
            paths = sorted(set(folder.glob("*.npy")) - self._files.keys() - unreadable)
            vanished = False
            for path in paths:
                try:
                    self._files[path] = self._register(_mapped(path, self._row_type))
                except FileNotFoundError:
                    vanished = True
                except ValueError as error:
                    log.warning("%s is damaged (%s): its photos will be embedded again", path, error)
                    _remove(path)
                except OSError as error:
                    unreadable.add(path)
                    log.warning("%s cannot be read (%s): its photos will be embedded again", path, error.strerror)
            if not vanished:
                return

    def _write(self, rows: np.ndarray) -> Path | None:
        """The file of a new part; None, after a warning the first time, if nothing can be written."""
        if self._folder is None:
            return None
        buffer = io.BytesIO()
        np.save(buffer, rows, allow_pickle=False)
        path = self._folder / f"{xxhash.xxh3_128_hexdigest(buffer.getbuffer())}.npy"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, buffer.getvalue())
        except OSError as error:
            log.warning("%s: embeddings cannot be kept (%s); a later run computes them again", path.parent, error)
            self._folder = None
            return None
        return path

    def _merge(self) -> None:
        """Small parts into one. They are removed only when that one is on the disk."""
        small = {path: n for path, n in self._files.items() if len(self._parts[n]) < SMALL_PART}
        if len(small) < MERGE_FROM:
            return
        rows = np.concatenate([self._parts[number] for number in small.values()])
        # The same rows give the same name, in whatever order and however often they were added.
        order = np.lexsort(rows["key"].T[::-1])
        rows = rows[order]
        first = np.ones(len(rows), bool)
        first[1:] = (rows["key"][1:] != rows["key"][:-1]).any(axis=1)
        rows = rows[first]
        merged = self._write(rows)
        if merged is None:
            return
        for path, number in small.items():
            if path != merged:
                self._parts[number] = rows[:0]
                del self._files[path]
                _remove(path)
        self._files[merged] = self._register(self._reopened(merged, rows))

    def _reopened(self, path: Path, rows: np.ndarray) -> np.ndarray:
        try:
            return _mapped(path, self._row_type)
        except FileNotFoundError:  # another process has merged it already
            return rows


def _mapped(path: Path, row_type: np.dtype) -> np.ndarray:
    """A part, its content checked against its name. FileNotFoundError if it is gone, ValueError if damaged."""
    if xxhash.xxh3_128_hexdigest(np.memmap(path, mode="r").data) != path.stem:
        raise ValueError("its content is not what its name says")
    part = np.load(path, mmap_mode="r", allow_pickle=False)
    if part.dtype != row_type or part.ndim != 1:
        raise ValueError(f"it holds {part.dtype} {part.shape}")
    return part.view(np.ndarray)


def _sweep(folder: Path) -> None:
    """Remove the half-written files of processes that were killed."""
    for path in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):  # its process is alive and was done just now
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                _remove(path)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # Windows keeps what another process has mapped; the next merge tries again
        log.debug("%s stays (%s)", path, error)
