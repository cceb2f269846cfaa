"""One file from one place to another: all of it or nothing, never over something that is there.

Two ways, for the two things that can be in use by others while we work:
`take` removes a name from the collection in one step (rename), so that a version saved meanwhile is not lost;
`put_back` makes a name in the collection in one step that fails where there is one (link).
Across file systems both copy under a name of their own, flush, read the copy again, and only then go on as above.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from siamclip.cleaning.apply.moving.real_folders import Place, blocks

# What file systems without hard links (FAT, many network shares) and protected_hardlinks answer.
_NO_LINKS = frozenset((errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))


class ContentChanged(Exception):
    """The file is not the one that was meant; it was left where it is."""


def take(source: Place, target: Place, part: str, content: str, seen: os.stat_result) -> None:
    """Move a file of the collection into the quarantine.

    `seen` is its status when its `content` hash was last computed; `part`: a free name in the target's folder, for
    a copy that is under way. Raises ContentChanged, FileExistsError (the target) and OSError; nothing has then moved.
    """
    if not _same(source, content, seen):
        raise ContentChanged
    try:
        rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _take_copy(source, target, Place(target.folder, part), content, seen)
    else:
        if not _same(target, content, seen):  # replaced between the check and the rename
            try:
                put_back(target, source, part, content=None)
            except FileExistsError:
                kept = target.folder.path / target.name
                raise OSError(errno.EBUSY, f"replaced twice while it was moved; one version is {kept}") from None
            raise ContentChanged


def put_back(source: Place, target: Place, part: str, content: str | None) -> None:
    """Move a file to where nothing is. Raises FileExistsError (the target), ContentChanged and OSError.

    `content`: what a copy across file systems must have; None where both are on one.
    """
    try:
        _link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV or content is None:
            raise
        copied = Place(target.folder, part)
        copy(source, copied, content)
        _or_remove(copied, lambda: _link(copied, target))
    else:
        return
    target.folder.sync()
    _let_go(source, target)


def copy(source: Place, target: Place, content: str) -> None:
    """A new file with the bytes, times and mode of `source`, flushed and read again.

    Raises FileExistsError, ContentChanged where the bytes are not those of `content`, OSError; then there is no target.
    """
    reading = source.open_to_read()
    try:
        writing = target.create()
        _or_remove(target, lambda: _fill(writing, reading))
        _or_remove(target, lambda: target.set_times(os.fstat(reading)))
        if target.digest()[0] != content:
            target.unlink()
            raise ContentChanged
    finally:
        os.close(reading)


def link(source: Place, target: Place) -> None:
    """One more name for a file. Raises FileExistsError, OSError (EXDEV across file systems)."""
    if os.name == "nt":
        os.link(source.folder.named(source.name), target.folder.named(target.name))
        return
    os.link(
        source.name,
        target.name,
        src_dir_fd=source.folder.descriptor,
        dst_dir_fd=target.folder.descriptor,
        follow_symlinks=False,
    )


def _same(place: Place, content: str, seen: os.stat_result) -> bool:
    """Unchanged since `seen`; where the status says otherwise (some network shares renumber files) the bytes decide."""
    try:
        status = place.stat()
        known = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
        return (status.st_ino, status.st_size, status.st_mtime_ns) == known or place.holds(content)
    except FileNotFoundError:
        return False


def rename(source: Place, target: Place) -> None:
    """Rename onto a placeholder that only this call can have made: the portable rename without replacing."""
    if os.name == "nt":  # where rename itself refuses to replace
        (source.folder.path / source.name).rename(target.folder.path / target.name)
        return
    os.close(target.create())
    _or_remove(
        target,
        lambda: os.rename(
            source.name, target.name, src_dir_fd=source.folder.descriptor, dst_dir_fd=target.folder.descriptor
        ),
    )


def _link(source: Place, target: Place) -> None:
    """Move to a name that must be free, within a file system."""
    if os.name == "nt":
        rename(source, target)
        return
    try:
        link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename(source, target)
    else:
        _let_go(source, target)


def _take_copy(source: Place, target: Place, part: Place, content: str, seen: os.stat_result) -> None:
    copy(source, part, content)
    _or_remove(part, lambda: rename(part, target))
    target.folder.sync()
    if not _same(source, content, seen):
        target.unlink()
        raise ContentChanged
    _let_go(source, target)


def _fill(writing: int, reading: int) -> None:
    try:
        for block in blocks(reading):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(writing, rest) :]
        if hasattr(os, "fchmod"):
            os.fchmod(writing, os.fstat(reading).st_mode & 0o7777)
        os.fsync(writing)
    finally:
        os.close(writing)


def _let_go(source: Place, target: Place) -> None:
    """Remove the first name of a file that has a second one; where that cannot be done, the second one."""
    try:
        source.unlink()
    except FileNotFoundError:  # somebody else removed it: the target is the only one now
        return
    except OSError:
        target.unlink()
        raise


def _or_remove(ours: Place, step: Callable[[], None]) -> None:
    """Take `step`; where it fails, remove the file that we made before it."""
    try:
        step()
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to report; recovery removes what is left
            ours.unlink()
        raise
