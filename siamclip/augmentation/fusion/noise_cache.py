"""Noise maps on disk, within a budget of bytes: a photo is inverted once for all its pairs, modes and runs.

    <folder>/<key>.noise-maps    safetensors: one stack "maps", float32 (S, C, h, w), and its checksum

A key says all that decides a stack's numbers (`key_of`). A file appears whole, in one step, and never changes: of two
processes that write the same one, either may win.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import xxhash

from siamclip.files.atomic import write_atomically

FORMAT = 1
_OWN = re.compile(r"[0-9a-f]{32}\.noise-maps")
_PART = re.compile(r"\.[0-9a-f]{32}\.noise-maps\.\d+\.part")  # of write_atomically
_ABANDONED_SECONDS = 3600.0  # a half-written file this old belongs to a process that is gone
_TICK = 1000  # ns between two uses: what file systems with the coarsest fine clock, NTFS's 100 ns, still tell apart

log = logging.getLogger(__name__)


def key_of(
    content_hash: str, fingerprint: str, steps: int, skip: int, eta: float, seed: int, geometry: str, side: int
) -> str:
    """32 hexadecimal digits. `fingerprint` is the denoiser's, `seed` the image's own (`seed_of`)."""
    parts = [FORMAT, content_hash, fingerprint, steps, skip, float(eta), seed, geometry, side]
    return xxhash.xxh3_128_hexdigest(json.dumps(parts).encode())


def seed_of(seed: int, content_hash: str) -> int:
    """The seed in [0, 2^63) of one image's noise, from the run's: the other images of a run do not matter."""
    return xxhash.xxh3_64_intdigest(f"{seed}:{content_hash}".encode()) >> 1


@dataclass
class CacheStats:
    hits: int = 0
    misses: int = 0
    stored_bytes: int = 0  # written by this object


class NoiseCache:
    """Key (`key_of`) -> stack. Files that were used longest ago make room; the folder's own never exceed the budget.

    With a budget of 0 nothing is stored, nor after a folder turned out not to be writable: that is warned of once. A
    damaged file is removed with a warning. Only files of this cache's own name are ever touched. Several processes may
    share a folder; while they write at the same moment, the files may exceed the budget by what they are writing.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self.stats = CacheStats()
        self._folder, self._budget = folder, budget_bytes
        self._stores = budget_bytes > 0
        self._last_use = 0  # ns

    def get(self, key: str) -> torch.Tensor | None:
        """The stack, float32 (S, C, h, w) on the CPU; None where it is not known."""
        path = self._path(key)
        stack = None
        try:
            stack = _unpack(path.read_bytes(), key)
            self._touch(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            log.warning("%s cannot be read (%s): its photo is inverted again", path, error.strerror)
        except ValueError as error:
            log.warning("%s is damaged (%s): its photo is inverted again", path, error)
            _remove(path)
        if stack is None:
            self.stats.misses += 1
        else:
            self.stats.hits += 1
        return stack

    def put(self, key: str, stack: torch.Tensor) -> None:
        """Remember a float32 stack (S, C, h, w), unless it is larger than the whole budget or known already."""
        if stack.dtype != torch.float32 or stack.ndim != 4:
            raise ValueError(f"a stack is float32 (S, C, h, w), not {stack.dtype} {tuple(stack.shape)}")
        path = self._path(key)
        if not self._stores:
            return
        if path.exists():  # from another process; whether it is whole is found out when it is read
            self._touch(path)
            return
        content = _pack(stack, key)
        if len(content) > self._budget:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            write_atomically(path, content)
            self._make_room(0, keep=path.name)  # for what others wrote meanwhile
        except OSError as error:
            self._stores = False
            log.warning(
                "%s: noise maps cannot be kept (%s); photos are inverted again when they are needed again",
                self._folder, error.strerror or error,
            )  # fmt: skip
            return
        self._touch(path)
        self.stats.stored_bytes += len(content)

    def _path(self, key: str) -> Path:
        name = f"{key}.noise-maps"
        if not _OWN.fullmatch(name):
            raise ValueError(f"{key!r} is no key of noise maps")
        return self._folder / name

    def _make_room(self, needed: int, keep: str = "") -> None:
        """Remove the files that were used longest ago, but not `keep`, until `needed` more bytes fit."""
        files = []
        now = time.time()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                is_part = _PART.fullmatch(entry.name)
                if not is_part and not _OWN.fullmatch(entry.name):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # another process made room
                    continue
                if is_part and now - status.st_mtime > _ABANDONED_SECONDS:
                    _remove(Path(entry.path))
                elif not is_part:
                    files.append((status.st_mtime_ns, entry.name, status.st_size))
                    self._last_use = max(self._last_use, status.st_mtime_ns)
        excess = sum(size for _, _, size in files) + needed - self._budget
        for _, name, size in sorted(files):
            if excess <= 0:
                return
            if name != keep and _remove(self._folder / name):
                excess -= size

    def _touch(self, path: Path) -> None:
        """Mark the latest use: later than any before, also where a clock was set back or stands still."""
        self._last_use = max(time.time_ns(), self._last_use + _TICK)
        try:
            os.utime(path, ns=(self._last_use, self._last_use))
        except OSError as error:  # it vanished, or may only be read: that costs its place in the order, no more
            log.debug("%s keeps its time (%s)", path, error)


def _pack(stack: torch.Tensor, key: str) -> bytes:
    from safetensors.torch import save

    stack = stack.detach().cpu().contiguous()
    return save({"maps": stack}, {"key": key, "xxh3": _checksum(stack)})


def _unpack(content: bytes, key: str) -> torch.Tensor:
    """Raises ValueError for whatever `_pack` did not write."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stack = load(content)["maps"]
        # The library checked the header's length and form; it does not give away what stands in it.
        notes = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"no noise maps: {error}") from None
    if stack.dtype != torch.float32 or stack.ndim != 4 or notes != {"key": key, "xxh3": _checksum(stack)}:
        raise ValueError("changed since it was written")
    return stack


def _checksum(stack: torch.Tensor) -> str:
    digest = xxhash.xxh3_128(repr(tuple(stack.shape)).encode())
    digest.update(stack.numpy().tobytes())
    return digest.hexdigest()


def _remove(path: Path) -> bool:
    """False where it stays: another process has it open (Windows), or the folder may only be read."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.debug("%s stays (%s)", path, error)
        return False
    return True
