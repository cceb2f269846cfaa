"""What a scan has found so far, on its way to the disk: embeddings first, then features, then the files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table import feature_parts
from siamclip.cleaning.scan.table.feature_parts import Rows, write_part
from siamclip.cleaning.scan.table.file_table import FileTable, to_arrow, write_table
from siamclip.cleaning.scan.table.records import ImageScorer
from siamclip.cleaning.scan.worker import Task, TaskResult

if TYPE_CHECKING:
    from siamclip.embedding.embedder import Embedder
    from siamclip.embedding.store import EmbeddingStore

# What a kill may cost, against the number of files that it takes.
ROWS_A_PART = 8_192
SECONDS_A_PART = 30.0


class ScanWriter:
    """Fills `files` in place; `flush` puts on the disk what came since the last one, in steps that a kill may end.

    A file is written last: while it is missing the file counts as not read.
    """

    def __init__(
        self,
        run: RunFolder,
        files: FileTable,
        scorers: tuple[ImageScorer, ...],
        embedder: Embedder | None,
        store: EmbeddingStore | None,
    ) -> None:
        self._run, self._files, self._scorers = run, files, scorers
        self._embedder, self._store = embedder, store
        self._number = _last_number(run) + 1
        self._results: dict[tuple[tuple[int, ...], bool], list[TaskResult]] = {}
        self._rows: list[np.ndarray] = []
        self._pixels: list[np.ndarray] = []
        self._keys: list[str] = []  # contents of the pixels
        self._vectors: list[tuple[list[str], np.ndarray]] = []
        self._waiting = 0
        self._flushed = time.monotonic()

    def add(self, task: Task, result: TaskResult) -> None:
        """Raises UserError where the disk is full."""
        was_read = result.files["content"] != b""  # of the others, the listing knows more
        self._files.status[task.rows[was_read]] = result.files[was_read]
        self._files.status["content"][task.rows[~was_read]] = b""
        self._files.errors[task.rows] = result.file_errors
        self._rows.append(task.rows)
        self._results.setdefault((task.scorers, task.pixels), []).append(result)
        if result.pixels is not None:
            contents = result.files["content"][result.decoded[result.fitted]]
            self._pixels += list(result.pixels)
            self._keys += [content.decode() for content in contents.tolist()]
            result.pixels = None
            if self._embedder is not None and len(self._pixels) >= self._embedder.batch_size:
                self._embed()
        self._waiting += len(task)
        if self._waiting >= ROWS_A_PART or time.monotonic() - self._flushed > SECONDS_A_PART:
            self.flush()

    def flush(self) -> None:
        """Raises UserError where the disk is full."""
        self._embed()
        if self._store is not None and self._vectors:
            keys = [key for batch, _ in self._vectors for key in batch]
            self._store.add(keys, np.concatenate([vectors for _, vectors in self._vectors]))
        self._vectors = []
        for (scorers, pixels), results in self._results.items():
            rows = _gathered(results)
            fingerprint = self._embedder.fingerprint if pixels and self._embedder is not None else ""
            if len(rows):
                path = self._run.parts / feature_parts.FEATURE_PART.replace("*", f"{self._number:08}")
                write_part(path, rows, [self._scorers[i] for i in scorers], fingerprint)
                self._number += 1
        if self._rows:
            read = np.concatenate(self._rows)
            table = to_arrow(self._files.paths.take(read), self._files.status[read], self._files.errors[read])
            write_table(self._run.parts / f"files-{self._number:08}.parquet", table)
            self._number += 1
        self._results, self._rows, self._waiting = {}, [], 0
        self._flushed = time.monotonic()

    def _embed(self) -> None:
        if self._embedder is not None and self._pixels:
            # They have the embedder's size already, which its own preprocessing leaves as they are.
            self._vectors.append((self._keys, self._embedder.embed(self._pixels)))
        self._pixels, self._keys = [], []


def _gathered(results: list[TaskResult]) -> Rows:
    """The decoded files of several results of the same scorers."""
    return Rows(
        np.concatenate([result.files["content"][result.decoded] for result in results]),
        [error for result in results for error in result.errors],
        [failed for result in results for failed in result.failed],
        [error for result in results for error in result.fit_errors],
        {name: np.concatenate([result.columns[name] for result in results]) for name in results[0].columns},
    )


def _last_number(run: RunFolder) -> int:
    names = [path.stem.rpartition("-")[2] for path in run.parts.glob("*-*.parquet")]
    return max((int(name) for name in names if name.isdecimal()), default=0)
