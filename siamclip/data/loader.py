"""Photos in bulk: decoded once by a pool of threads, kept while they fit into memory, failures recorded once.

Threads rather than processes: decoding releases the interpreter's lock, one cache serves all, nothing is pickled,
and it is the same on Windows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np

from siamclip.errors import ImageError

BATCHES_AHEAD = 2


class PhotoLoader:
    """Loads photos by index into `files`, each with `load(file, index)` -> uint8 (size, size, 3).

    `failures` maps the index of each photo that could not be read to the reason.
    """

    def __init__(
        self,
        files: Sequence[Path],
        load: Callable[[Path, int], np.ndarray],
        workers: int = 4,
        cache_bytes: int = 0,
    ) -> None:
        self.files = files
        self.failures: dict[int, str] = {}
        self._load = load
        self._room = cache_bytes
        self._cache: dict[int, np.ndarray] = {}
        self._pool = ThreadPoolExecutor(workers, "decode", initializer=_compute_in_one_thread)

    def __enter__(self) -> PhotoLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def stream(self, batches: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each array of indices (B,): the photos that could be read, uint8 (R, size, size, 3), and a boolean (B,)
        that marks the others. The next batches are decoded while this one is used."""
        waiting: deque[list[Future[np.ndarray | None]]] = deque()
        for indices in batches:
            waiting.append([self._pool.submit(self._one, int(i)) for i in indices])
            if len(waiting) > BATCHES_AHEAD:
                yield _gathered(waiting.popleft())
        while waiting:
            yield _gathered(waiting.popleft())

    def _one(self, index: int) -> np.ndarray | None:
        if index in self._cache:
            return self._cache[index]
        if index in self.failures:
            return None
        try:
            photo = self._load(self.files[index], index)
        except ImageError as error:
            self.failures[index] = error.reason
            return None
        if photo.nbytes <= self._room:  # two threads may pass at once: the budget is exceeded by a photo at most
            self._room -= photo.nbytes
            self._cache[index] = photo
        return photo


def _compute_in_one_thread() -> None:
    """Resizing is torch's, which starts as many threads as there are cores for each thread that calls it: with several
    decoding threads they would crowd out the network's."""
    import torch

    torch.set_num_threads(1)  # of the calling thread; the others keep theirs


def _gathered(futures: list[Future[np.ndarray | None]]) -> tuple[np.ndarray, np.ndarray]:
    photos = [future.result() for future in futures]
    unreadable = np.array([photo is None for photo in photos], dtype=bool)
    readable = [photo for photo in photos if photo is not None]
    return (np.stack(readable) if readable else np.empty((0, 0, 0, 3), np.uint8)), unreadable
