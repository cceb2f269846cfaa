"""A folder that one process holds alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siamclip.errors import UserError, printable

LOCK = ".lock"
# Windows keeps others from reading the locked byte, so it lies far behind the text that says who holds the lock.
_LOCKED_BYTE = 1 << 30


@contextmanager
def hold(folder: Path, doing: str, setting: str = "") -> Iterator[None]:
    """Hold `folder`, which is made if it is not there. Raises UserError where another process holds it.

    The lock is the operating system's: it ends with the process that holds it, however that ends. (filelock's locks
    either end so or name their holder, not both.) `doing` is what the other process is told, `setting` the one that
    gave the folder.
    """

    def refused(problem: str, remedy: str) -> UserError:
        return UserError(setting, problem if setting else f"{folder}: {problem}", remedy, folder if setting else None)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise refused(f"cannot be locked ({error.strerror})", "the folder must be writable") from None
    try:
        if not _locked(descriptor):
            holder = os.read(descriptor, 200).decode("utf-8", "replace") or "another process"
            raise refused(f"is in use by {printable(holder)}", "wait until it is done")
        with contextlib.suppress(OSError):  # a full disk: the name of the holder is lost, the lock holds
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} ({doing})".encode())
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # which releases the lock


if os.name == "nt":
    import msvcrt

    def _locked(descriptor: int) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _locked(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
