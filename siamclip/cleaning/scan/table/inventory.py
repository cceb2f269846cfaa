"""What lies below the collection's folder, without reading a file: the photos, and what is none of its own.

A link is never a photo of its own, whatever it points to: two names of one file would be "duplicates", and
removing one could lose the only one. Hard links of one file are counted once, under the first name.
"""

from __future__ import annotations

import os
import stat
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siamclip.cleaning.run_folder import MARKER
from siamclip.cleaning.scan.table.records import INODE_MASK
from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.errors import UserError, printable

if TYPE_CHECKING:
    import pyarrow as pa

_EXTENSIONS = frozenset(extension.encode() for extension in IMAGE_EXTENSIONS)
_AT_ONCE = 65_536  # paths that are Python objects at any moment; the rest lies in Arrow's buffers
_MARKER = MARKER.encode()
_DOT = ord(".")
A_LINK = "a link"


@dataclass
class Listing:
    """The photos' paths below the root, as bytes with forward slashes, sorted; what the file system says of them.

    `skipped`: path and reason of whatever has the name of a photo, or is a folder, and was left out.
    """

    paths: pa.Array  # (N,) large_binary
    size: np.ndarray  # (N,) int64
    mtime_ns: np.ndarray  # (N,) int64
    inode: np.ndarray  # (N,) uint64, 0 where the file system has none
    device: np.ndarray  # (N,) uint64
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    links: int = 0
    hard_links: int = 0
    other_files: int = 0
    hidden: int = 0
    unlisted: int = 0  # folders

    def __len__(self) -> int:
        return len(self.paths)


def list_photos(root: Path) -> Listing:
    """Walks `root`, but for hidden names, links and RUN folders (which hold quarantined photos). Raises UserError.

    A folder that cannot be listed is among the skipped.
    """
    if not root.is_dir():
        raise UserError("", f"{root}: no such folder", "give the folder of the collection")
    walk = _Walk(os.fsencode(root))
    walk.all()
    return walk.listing()


class _Walk:
    def __init__(self, root: bytes) -> None:
        self._base = root.rstrip(b"/") + b"/"
        self._paths: list[bytes] = []
        self._chunks: list[pa.Array] = []
        self._status = {name: array("q" if name in ("size", "mtime_ns") else "Q") for name in _FIELDS}
        self._several_names: list[int] = []  # photos with more than one hard link
        self._skipped: list[tuple[bytes, str]] = []
        self._links = self._other = self._hidden = self._unlisted = 0

    def all(self) -> None:
        pending = [b""]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self._base + folder) as scanned:
                    entries = list(scanned)
            except OSError as error:
                if not folder:
                    raise UserError("", f"{os.fsdecode(self._base)}: cannot be listed ({error.strerror})") from None
                self._unlisted += 1
                self._skipped.append((folder, f"the folder cannot be listed ({error.strerror})"))
                continue
            if folder and any(entry.name == _MARKER for entry in entries):
                self._skipped.append((folder, "a RUN folder"))
                continue
            for entry in entries:
                name = entry.name
                if name[0] == _DOT:
                    self._hidden += 1
                elif entry.is_file(follow_symlinks=False):
                    if _extension(name) in _EXTENSIONS:
                        self._photo(folder + name, entry)
                    else:
                        self._other += 1
                elif entry.is_dir(follow_symlinks=False) and not _is_junction(entry):
                    pending.append(folder + name + b"/")
                else:
                    self._special(folder + name, entry)

    def _photo(self, path: bytes, entry: os.DirEntry[bytes]) -> None:
        try:
            # On Windows the entry knows neither inode nor number of links; elsewhere this is the same call.
            status = os.lstat(entry.path) if os.name == "nt" else entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return  # vanished since the folder was listed: it is not there
        except OSError as error:
            self._skipped.append((path, error.strerror or str(error)))
            return
        if status.st_nlink > 1:
            self._several_names.append(len(self._status["size"]))
        self._paths.append(path)
        self._status["size"].append(status.st_size)
        self._status["mtime_ns"].append(status.st_mtime_ns)
        self._status["inode"].append(status.st_ino & INODE_MASK)
        self._status["device"].append(status.st_dev & INODE_MASK)
        if len(self._paths) >= _AT_ONCE:
            self._pack()

    def _special(self, path: bytes, entry: os.DirEntry[bytes]) -> None:
        """A link (also Windows' junctions), or what is neither file nor folder: pipes, sockets, devices."""
        if entry.is_symlink() or _is_junction(entry):
            self._links += 1
            self._skipped.append((path, A_LINK))
        elif _extension(path) in _EXTENSIONS:
            self._skipped.append((path, "not a regular file"))
        else:
            self._other += 1

    def _pack(self) -> None:
        import pyarrow as pa

        self._chunks.append(pa.array(self._paths, pa.large_binary()))
        self._paths = []

    def listing(self) -> Listing:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._pack()
        paths = pa.concat_arrays(self._chunks)
        order = pc.sort_indices(paths).to_numpy()
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        paths = paths.take(pa.array(order))
        status = {
            name: np.array(numbers, np.int64 if numbers.typecode == "q" else np.uint64)[order]
            for name, numbers in self._status.items()
        }
        twins = _twins(place[self._several_names], status["inode"], status["device"])
        for twin, first in twins.items():
            same = f"the same file as {printable(os.fsdecode(paths[first].as_py()))}"
            self._skipped.append((paths[twin].as_py(), same))
        kept = np.ones(len(order), bool)
        kept[list(twins)] = False
        return Listing(
            paths.filter(pa.array(kept)),
            **{name: numbers[kept] for name, numbers in status.items()},
            skipped=sorted(self._skipped),
            links=self._links,
            hard_links=len(twins),
            other_files=self._other,
            hidden=self._hidden,
            unlisted=self._unlisted,
        )


_FIELDS = ("size", "mtime_ns", "inode", "device")


def _twins(rows: np.ndarray, inode: np.ndarray, device: np.ndarray) -> dict[int, int]:
    """Row -> row of the first name of the same file."""
    first: dict[tuple[int, int], int] = {}
    found = {}
    for row in sorted(rows.tolist()):
        place = first.setdefault((int(device[row]), int(inode[row])), row)
        if place != row:
            found[row] = place
    return found


def _extension(name: bytes) -> bytes:
    return name[name.rfind(b".") :].lower()


def _is_junction(entry: os.DirEntry[bytes]) -> bool:
    """Windows' other kind of link to a folder, which Python does not call a link."""
    if os.name != "nt":
        return False
    tag = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0)
    return bool(tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1))
