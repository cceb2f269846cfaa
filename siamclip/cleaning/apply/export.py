"""Write the cleaned collection elsewhere, as hard links or copies, and leave the original alone.

Files appear under their names whole or not at all; an export that was interrupted is continued by the same command.
Hard links share their bytes with the original: a program that edits a photo in place changes both.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from siamclip.cleaning.apply.apply import Progress, no_stage_progress
from siamclip.cleaning.apply.moving.journal import Removal
from siamclip.cleaning.apply.moving.real_folders import Place, open_below
from siamclip.cleaning.apply.moving.recovery import split
from siamclip.cleaning.apply.moving.transfer import ContentChanged, copy, link, put_back
from siamclip.errors import UserError, printable
from siamclip.files.atomic import write_atomically

if TYPE_CHECKING:
    from siamclip.cleaning.contracts import PhotoTable

MARKER = ".siamclip-export.json"
_PART = ".siamclip-export.part"
FORMAT = 1
Mode: TypeAlias = Literal["hardlink", "copy"]
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class KeptPhoto:
    """A photo of the cleaned collection: path below the root, and the content hash of the scan."""

    path: str
    content: str


@dataclass
class ExportSummary:
    """`there`: exported by a run before. `unreadable`: left out, the scan could not read their bytes."""

    written: int = 0
    there: int = 0
    unreadable: list[str] = field(default_factory=list)


def kept_photos(photos: PhotoTable, removals: Iterable[Removal]) -> list[KeptPhoto]:
    """All photos of the scan that are not to be removed, without those of an archive."""
    removed = {removal.path for removal in removals}
    archived = photos.is_archived
    return [
        KeptPhoto(path, bytes(photos.content[row]).decode("ascii"))
        for row, path in enumerate(photos.paths)
        if path not in removed and not archived[row]
    ]


def export(
    root: Path, photos: Sequence[KeptPhoto], destination: Path, mode: Mode, progress: Progress = no_stage_progress
) -> ExportSummary:
    """Write `photos` of `root` below `destination`, under the same relative paths and with the same times.

    `destination` must be empty, missing, or an export of the same collection that holds nothing else. To be called
    under the run's lock. Raises UserError: before anything is written for a wrong destination; in the end for photos
    that changed since the scan, the others are then exported.
    """
    if mode not in ("hardlink", "copy"):
        raise UserError("export_mode", "must be hardlink or copy", value=mode)
    if not root.is_dir():
        raise UserError("", f"{root}: the collection is not there", "mount or move it back, or scan it where it is now")
    root = root.resolve()
    _claim(root, destination, {photo.path for photo in photos if photo.content})
    summary, changed = ExportSummary(), []
    for number, photo in enumerate(photos, 1):
        if not photo.content:
            summary.unreadable.append(photo.path)
            continue
        try:
            if _export_one(root, photo, destination, mode):
                summary.written += 1
            else:
                summary.there += 1
        except (ContentChanged, FileNotFoundError):
            changed.append(photo.path)
        except OSError as error:
            raise _stopped(photo.path, destination, error) from None
        progress("exporting", number, len(photos))
    if changed:
        listed = ", ".join(map(printable, changed[:_SHOWN])) + (" ..." if len(changed) > _SHOWN else "")
        raise UserError(
            "export",
            f"changed since the scan and left out: {len(changed):,} of the photos ({listed})",
            "scan and find again, then export again, which goes on",
            destination,
        )
    return summary


def _claim(root: Path, destination: Path, expected: set[str]) -> None:
    resolved = destination.resolve()
    if resolved == root or root in resolved.parents or resolved in root.parents:
        raise UserError("export", f"must lie outside of the collection {root}, and not around it", value=destination)
    marker = destination / MARKER
    try:
        destination.mkdir(parents=True, exist_ok=True)
        if marker.exists():
            _check_marker(marker, root, destination)
        elif not all(_is_ours(entry.name) for entry in os.scandir(destination)):
            raise UserError("export", "holds files that are not of an export", "give an empty folder", destination)
        else:
            content: dict[str, Any] = {"format": FORMAT, "root": str(root)}
            write_atomically(marker, json.dumps(content).encode())
        foreign = [path for path in _files_below(destination) if path not in expected]
    except OSError as error:
        raise UserError("export", f"cannot be written ({error.strerror})", "give another folder", destination) from None
    if foreign:
        raise UserError(
            "export",
            f"holds what is not to be exported, such as {printable(min(foreign))} ({len(foreign):,} in all)",
            "nothing is removed there: give an empty folder",
            destination,
        )


def _check_marker(marker: Path, root: Path, destination: Path) -> None:
    try:
        content = json.loads(marker.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError("", f"{marker}: is no marker of an export that this version knows", "give an empty folder")
    if content.get("root") != str(root):
        raise UserError(
            "export", f"is the export of {content.get('root')}, not of {root}", "give another folder", destination
        )


def _is_ours(name: str) -> bool:
    """The marker, or one that a killed process did not finish."""
    return name == MARKER or (name.startswith(f".{MARKER}.") and name.endswith(".part"))


def _files_below(destination: Path) -> Iterator[str]:
    """Relative paths with forward slashes, but for what an export leaves beside the photos."""
    for parent, folders, names in os.walk(destination):
        relative = Path(parent).relative_to(destination).as_posix()
        prefix = "" if relative == "." else relative + "/"
        for name in names + [folder for folder in folders if Path(parent, folder).is_symlink()]:
            if name != _PART and not (not prefix and _is_ours(name)):
                yield prefix + name


def _export_one(root: Path, photo: KeptPhoto, destination: Path, mode: Mode) -> bool:
    """False where it was there already. Raises ContentChanged, UserError, OSError."""
    folders, name = split(photo.path)
    with ExitStack() as open_folders:
        source = Place(open_folders.enter_context(open_below(root, folders)), name)
        target_folder = open_folders.enter_context(open_below(destination, folders, create=True))
        target = Place(target_folder, name)
        part = Place(target_folder, _PART)
        with contextlib.suppress(FileNotFoundError):  # of an export that was interrupted
            part.unlink()
        if target.exists() and stat.S_ISREG(target.stat().st_mode) and target.stat().st_size == 0:
            target.unlink()  # perhaps a placeholder of an interrupted export: see transfer.rename
        if target.exists():
            if not target.holds(photo.content):
                raise UserError("export", f"holds another {photo.path}", "give an empty folder", destination)
            return False
        if mode == "hardlink":
            _link_whole(source, target, photo.content)
        else:
            copy(source, part, photo.content)
            put_back(part, target, _PART, content=None)
    return True


def _link_whole(source: Place, target: Place, content: str) -> None:
    if source.digest()[0] != content:
        raise ContentChanged
    link(source, target)


def _stopped(path: str, destination: Path, error: OSError) -> UserError:
    if error.errno == errno.EXDEV:
        return UserError(
            "export",
            "lies on another file system, where hard links cannot lead",
            "use `export_mode` copy, or a folder on the same one",
            destination,
        )
    if error.errno in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
        return UserError("export", f"{path}: no hard link ({error.strerror})", "use `export_mode` copy", destination)
    return UserError(
        "export",
        f"{path}: cannot be written ({error.strerror})",
        "correct that and run it again, which goes on",
        destination,
    )
