"""The part of a scan that runs in processes of its own: read, hash, decode once, ask every scorer.

A file's bytes are read once; its content hash and its pixels come from the same bytes. Whatever goes wrong with one
file becomes the text of its error, never the end of the process.
"""

from __future__ import annotations

import errno
import os
import stat
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from siamclip.cleaning.scan.table.records import FILE_DTYPE, INODE_MASK, ImageScorer, missing_value
from siamclip.data.image.decode import content_hash, decode_luma_with_header, decode_with_header
from siamclip.errors import ImageError

if TYPE_CHECKING:
    from siamclip.data.image.preprocess import Preprocessing

# Larger files are hashed in blocks and decoded from the disk: a folder of disk images named .tif fits into memory.
_IN_MEMORY_BYTES = 256 << 20
# Not following a link that replaced the file since the walk; not waiting for a pipe that did.
_OPEN_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


@dataclass(frozen=True)
class Setup:
    """What every worker knows from its start. `known`: sorted (K,) S32 contents that need no decoding."""

    root: bytes
    scorers: tuple[ImageScorer, ...]
    preprocessing: Preprocessing | None
    known: np.ndarray


@dataclass(frozen=True)
class Task:
    """Some files by their row in the listing, the scorers to run on them (by index) and whether to fit pixels."""

    rows: np.ndarray
    paths: list[bytes]
    scorers: tuple[int, ...]
    pixels: bool

    def __len__(self) -> int:
        return len(self.paths)

    def single(self, i: int) -> Task:
        return Task(self.rows[i : i + 1], self.paths[i : i + 1], self.scorers, self.pixels)


@dataclass
class TaskResult:
    """`files`: (n,) FILE_DTYPE; `file_errors[i]`: why file i could not even be read, "" otherwise.

    The rest has one entry a decoded file, `decoded` being its index among the n. `errors`: why it has no values, or
    not all; `failed`: the scorers that raised, none where the decoder did. `pixels`: uint8 (m, size, size, 3) of
    those where `fitted` is True; `fit_errors` why others could not be fitted.
    """

    files: np.ndarray
    file_errors: list[str]
    decoded: np.ndarray
    columns: dict[str, np.ndarray]
    errors: list[str]
    failed: list[list[str]]
    fit_errors: list[str]
    fitted: np.ndarray
    pixels: np.ndarray | None


class FileError(Exception):
    """A file that cannot be read at all; the text is the reason."""


def undecoded(setup: Setup, task: Task, reason: str) -> TaskResult:
    """The result of one file that is not to be decoded again: its content, with the reason."""
    files = np.zeros(1, FILE_DTYPE)
    try:
        _read(os.path.join(setup.root, task.paths[0]), files)  # noqa: PTH118
    except FileError as error:
        return TaskResult(files, [str(error)], np.zeros(0, np.int64), {}, [], [], [], np.zeros(0, bool), None)
    columns = {}
    for i in task.scorers:
        for name, kind in setup.scorers[i].columns.items():
            columns[name] = np.zeros(1, _storage(kind))
            columns[name][0] = missing_value(kind)
    return TaskResult(files, [""], np.zeros(1, np.int64), columns, [reason], [[]], [""], np.zeros(1, bool), None)


def work(connection: Connection, setup: Setup) -> None:
    """A worker's life: says "" when it is ready (else why it is not), then a Result for every Task, in order."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the scan ends its workers itself
    try:
        scoring = Scoring(setup)
    except Exception:
        connection.send(traceback.format_exc())
        return
    try:
        connection.send("")
        while True:
            connection.send(scoring.run(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the scan is over, or was killed


class Scoring:
    """The scorers, loaded, and what they are run with."""

    def __init__(self, setup: Setup) -> None:
        import cv2  # here: the scan itself, which has these names too, needs no OpenCV where nothing is new

        from siamclip.cleaning.decoded import Decoded
        from siamclip.methods import load_target

        cv2.setNumThreads(1)  # as many processes as cores run already
        self._setup, self._decoded = setup, Decoded
        self._calls = [scorer.call or load_target(scorer.target) for scorer in setup.scorers]
        if setup.preprocessing is not None and setup.preprocessing.reduced_decode:  # the resampling is torch's
            import torch

            torch.set_num_threads(1)

    def run(self, task: Task) -> TaskResult:
        files = np.zeros(len(task), FILE_DTYPE)
        file_errors = [""] * len(task)
        values = {
            name: np.zeros(len(task), _storage(kind))
            for i in task.scorers
            for name, kind in self._setup.scorers[i].columns.items()
        }
        decoded: list[int] = []
        scored: list[_Scored] = []
        for i, path in enumerate(task.paths):
            try:
                source = _read(os.path.join(self._setup.root, path), files[i : i + 1])  # noqa: PTH118
            except FileError as error:
                file_errors[i] = str(error)
                continue
            if not self._is_known(files["content"][i]):
                scored.append(self._score(source, task, values, row=len(decoded)))
                decoded.append(i)
        fitted = [one.fitted for one in scored if one.fitted is not None]
        return TaskResult(
            files,
            file_errors,
            np.array(decoded, np.int64),
            {name: column[: len(decoded)] for name, column in values.items()},
            [one.error for one in scored],
            [one.failed for one in scored],
            [one.fit_error for one in scored],
            np.array([one.fitted is not None for one in scored], bool),
            np.stack(fitted) if fitted else None,
        )

    def _is_known(self, content: bytes) -> bool:
        known = self._setup.known
        place = int(np.searchsorted(known, content)) if len(known) else 0
        return place < len(known) and known[place] == content

    def _score(self, source: bytes | str, task: Task, values: dict[str, np.ndarray], row: int) -> _Scored:
        """Decodes once, fills `row` of the values."""
        fit = self._setup.preprocessing.fit if task.pixels and self._setup.preprocessing is not None else None
        grey = fit is None and all(self._setup.scorers[i].grey for i in task.scorers)
        try:
            decoded = self._decoded(*(decode_luma_with_header if grey else decode_with_header)(source))
        except ImageError as error:
            for i in task.scorers:
                self._leave_out(i, values, row)
            return _Scored(error.reason, [], "", None)
        failures: dict[str, str] = {}
        for i in task.scorers:
            scorer = self._setup.scorers[i]
            try:
                _put(self._calls[i](decoded), scorer.columns, values, row)
            except Exception as error:  # a defect, or a kind of image that nobody thought of: it is recorded
                failures[scorer.name] = f"{scorer.name} failed: {type(error).__name__}: {error}"
                self._leave_out(i, values, row)
        fitted, fit_error = None, ""
        if fit is not None:
            try:
                fitted = fit(decoded.rgb)
            except ImageError as error:
                fit_error = error.reason
        return _Scored("; ".join(failures.values()), list(failures), fit_error, fitted)

    def _leave_out(self, scorer: int, values: dict[str, np.ndarray], row: int) -> None:
        for name, kind in self._setup.scorers[scorer].columns.items():
            values[name][row] = missing_value(kind)


@dataclass(frozen=True)
class _Scored:
    error: str
    failed: list[str]
    fit_error: str
    fitted: np.ndarray | None


def _storage(kind: str) -> np.dtype:
    """The array type that collects a column's values; text is collected as objects."""
    dtype = np.dtype(kind)
    return np.dtype(object) if dtype.kind == "U" else dtype


def _put(found: Mapping[str, Any], columns: Mapping[str, str], values: dict[str, np.ndarray], row: int) -> None:
    if found.keys() != columns.keys():
        raise ValueError(f"it gives {sorted(found)}, its row in the method table says {sorted(columns)}")
    for name, value in found.items():
        if isinstance(value, str) and np.dtype(columns[name]).kind == "U":
            # A header may hold anything; Parquet's text is UTF-8.
            values[name][row] = value.encode("utf-8", "backslashreplace").decode()
        else:
            values[name][row] = value


def _read(path: bytes, row: np.ndarray) -> bytes | str:
    """The file's bytes, or its path where it is too large to hold; fills the (1,) row of FILE_DTYPE.

    Raises FileError, also for a file that is being written to.
    """
    for _ in range(2):  # once more for a file that was being replaced
        try:
            before, after, data, content = _read_once(path)
        except FileNotFoundError:
            raise FileError("vanished during the scan") from None
        except OSError as error:
            replaced = error.errno == errno.ELOOP
            raise FileError("was replaced by a link" if replaced else error.strerror or str(error)) from None
        except ImageError as error:
            raise FileError(error.reason) from None
        row["size"], row["mtime_ns"] = before.st_size, before.st_mtime_ns
        row["inode"], row["device"] = before.st_ino & INODE_MASK, before.st_dev & INODE_MASK
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            row["content"] = content.encode()
            return os.fsdecode(path) if data is None else data
    raise FileError("was changed while it was read")


def _read_once(path: bytes) -> tuple[os.stat_result, os.stat_result, bytes | None, str]:
    """The file's status before and after, its bytes unless it is too large to hold, and its content hash."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise FileError("not a regular file")
        if before.st_size > _IN_MEMORY_BYTES:
            content = content_hash(os.fsdecode(path))
            return before, os.fstat(descriptor), None, content
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            data = file.readall()
        content = xxhash.xxh3_128_hexdigest(data)
        return before, os.fstat(descriptor), data, content
    finally:
        os.close(descriptor)
