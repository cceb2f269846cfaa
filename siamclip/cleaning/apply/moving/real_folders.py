"""Files below a root, reached without following a link on the way.

On POSIX each step goes through an open folder (openat and its kin, with O_NOFOLLOW): a folder that somebody replaces
by a link while we work leads nowhere else. Windows has no such calls; there every part of the path is looked at
for a reparse point first.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import xxhash

from siamclip.errors import UserError

BLOCK = 1 << 20
_BY_DESCRIPTOR = os.open in os.supports_dir_fd
# O_NONBLOCK: opening a named pipe must not wait for a writer. On regular files it does nothing.
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Folder:
    """An open folder: a context manager. All names given to it are single components."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self.descriptor = descriptor

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def named(self, name: str) -> str:
        """What the os functions take beside `dir_fd=folder.descriptor`."""
        return name if self.descriptor is not None else str(self.path / name)

    def sync(self) -> None:
        """Flush the folder's entries to the disk; Windows does it by itself."""
        if self.descriptor is not None:
            os.fsync(self.descriptor)


@dataclass(frozen=True)
class Place:
    """A file's name in an open folder, whether the file exists or not."""

    folder: Folder
    name: str

    def stat(self) -> os.stat_result:
        return os.stat(self.folder.named(self.name), dir_fd=self.folder.descriptor, follow_symlinks=False)

    def exists(self) -> bool:
        """Anything at all, a broken link too."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def open_to_read(self) -> int:
        return os.open(self.folder.named(self.name), _READ, dir_fd=self.folder.descriptor)

    def create(self) -> int:
        """A descriptor of a new, empty file. Raises FileExistsError."""
        return os.open(self.folder.named(self.name), _CREATE, 0o600, dir_fd=self.folder.descriptor)

    def unlink(self) -> None:
        os.unlink(self.folder.named(self.name), dir_fd=self.folder.descriptor)

    def set_times(self, status: os.stat_result) -> None:
        os.utime(
            self.folder.named(self.name), ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=self.folder.descriptor
        )

    def digest(self) -> tuple[str, os.stat_result]:
        """xxh3-128 of the bytes in hexadecimal, and the status of the very file that was read.

        Raises OSError for what is missing, no regular file, or cannot be read.
        """
        descriptor = self.open_to_read()
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", self.name)
            digest = xxhash.xxh3_128()
            for block in blocks(descriptor):
                digest.update(block)
        finally:
            os.close(descriptor)
        return digest.hexdigest(), status

    def holds(self, content: str) -> bool:
        """A regular file with this content hash lies here. Raises OSError where that cannot be known."""
        try:
            return self.exists() and stat.S_ISREG(self.stat().st_mode) and self.digest()[0] == content
        except FileNotFoundError:  # removed between two of these calls
            return False


def blocks(descriptor: int) -> Iterator[bytes]:
    while block := os.read(descriptor, BLOCK):
        yield block


def parts_of(relative: str) -> tuple[str, ...]:
    """The components of a relative path with forward slashes. Raises UserError where it could lead elsewhere."""
    parts = PurePosixPath(relative).parts
    wrong = "/".join(parts) != relative or not parts or parts[0] == "/" or ".." in parts or "\0" in relative
    if os.name == "nt":
        wrong = wrong or any(character in relative for character in "\\:")
    if wrong:
        raise UserError("", f"{relative!r}: is no path below the collection", "scan again")
    return parts


def open_below(root: Path, parts: Sequence[str], create: bool = False) -> Folder:
    """The folder root/parts[0]/parts[1]/... `root` itself may be a link, nothing below it.

    With `create` missing folders are made. Raises OSError: ELOOP for a link, ENOTDIR for a file on the way.
    """
    if not _BY_DESCRIPTOR:
        return _open_by_path(root, parts, create)
    folder = Folder(root, os.open(root, os.O_RDONLY | os.O_DIRECTORY))
    for part in parts:
        with folder:
            folder = Folder(folder.path / part, _open_child(folder, part, create))
    return folder


def _open_child(folder: Folder, name: str, create: bool) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        return os.open(name, flags, dir_fd=folder.descriptor)
    except FileNotFoundError:
        if not create:
            raise
    except OSError:  # Linux says ENOTDIR of a link, macOS ELOOP
        if stat.S_ISLNK(Place(folder, name).stat().st_mode):
            raise OSError(errno.ELOOP, "a link to another folder", str(folder.path / name)) from None
        raise
    try:
        os.mkdir(name, dir_fd=folder.descriptor)
    except FileExistsError:  # somebody was quicker; whether it is a folder shows at once
        pass
    else:
        folder.sync()
    return os.open(name, flags, dir_fd=folder.descriptor)


def _open_by_path(root: Path, parts: Sequence[str], create: bool) -> Folder:
    path = root
    for part in parts:
        path /= part
        if create:
            path.mkdir(exist_ok=True)
        status = path.lstat()
        # FILE_ATTRIBUTE_REPARSE_POINT: junctions are no links to Python
        if stat.S_ISLNK(status.st_mode) or getattr(status, "st_file_attributes", 0) & 0x400:
            raise OSError(errno.ELOOP, "a link to another folder", str(path))
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
    return Folder(path, None)
