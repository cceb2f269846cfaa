"""Small collections of files that are no images, what lies in them, and removals of them. Imports little."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from siamclip.cleaning.apply.moving.journal import Removal

ODD_NAMES = ("line\nbreak.jpg", "%20 &'\".jpg", "l" * 240 + ".jpg", "车辆 7.jpg", "-rf.jpg")
FILES = {"a/1.jpg": b"one", "a/2.jpg": b"two", "b/1.jpg": b"other one", "b/deep/er/3.jpg": b"three", "top.jpg": b""}
NOT_UTF8 = os.fsdecode(b"caf\xe9\xff.jpg")


def write(root: Path, files: Mapping[str, bytes]) -> None:
    """Each with a time of its own, in nanoseconds and long ago, and alternating modes."""
    for number, (path, content) in enumerate(files.items()):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o644 if number % 2 else 0o640)
        os.utime(file, ns=(10**18, 10**18 + 1_000_000_007 * number))


def snapshot(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Relative path -> content, mtime in ns, mode, of every file, hidden ones too; links as what they point to."""
    found = {}
    for parent, folders, names in os.walk(root):
        for name in names + [folder for folder in folders if Path(parent, folder).is_symlink()]:
            file = Path(parent, name)
            status = file.lstat()
            content = os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
            found[file.relative_to(root).as_posix()] = (content, status.st_mtime_ns, status.st_mode)
    return found


def contents(*roots: Path) -> Counter[bytes]:
    return Counter(content for root in roots for content, _, _ in snapshot(root).values())


def removals_of(root: Path, paths: Iterable[str]) -> list[Removal]:
    """As a scan of the files as they are now would have them."""
    found = []
    for path in paths:
        content = (root / path).read_bytes()
        found.append(Removal(path, xxhash.xxh3_128_hexdigest(content), len(content), "blurred", ("laplacian",)))
    return found


def on_its_own_disk(call: Callable[..., Any], disk: Path) -> Callable[..., Any]:
    """os.rename or os.link as if `disk` and what lies below it were a file system of their own."""

    def inside(descriptor: int) -> bool:
        status = os.fstat(descriptor)
        return any(os.path.samestat(status, Path(parent).stat()) for parent, _, _ in os.walk(disk))

    def guarded(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, **words: Any) -> Any:
        if inside(src_dir_fd) != inside(dst_dir_fd):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return call(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, **words)

    return guarded
