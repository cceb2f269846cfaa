"""Move photos out of a collection into a quarantine, so that whatever happens no byte is lost.

Everything is checked before anything moves: each photo, and each that is to stay for a copy, must still be the one
that was scanned (size and content hash), a regular file, and reached without a link. Then, batch by batch, the journal
says what will move where, is flushed, and the files move. A killed apply is continued by running it again, or taken
back by undo.py.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from siamclip.cleaning.apply.moving.journal import Journal, Keeper, Move, Removal, Round
from siamclip.cleaning.apply.moving.real_folders import Place, open_below
from siamclip.cleaning.apply.moving.recovery import OWNER, Run, recover, split
from siamclip.cleaning.apply.moving.transfer import ContentChanged, take
from siamclip.errors import UserError, printable

# Moves announced with one flush of the journal. A flush took 0.09 ms on a virtual disk and takes 10 to 20 ms on a
# spinning one, where 20,000 moves with a flush each would wait for minutes.
BATCH = 64
_SHOWN = 3  # names in a message

Progress: TypeAlias = Callable[[str, int, int], None]  # what is done, how many of it, of how many


@dataclass(frozen=True)
class AppliedSummary:
    """What one apply did."""

    moved: int
    bytes: int
    already: int  # of the removals given: moved by an apply before
    quarantine: Path


def no_stage_progress(stage: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


def apply(
    run: Run,
    root: Path,
    removals: Sequence[Removal],
    *,
    quarantine: Path | None = None,
    keepers: Mapping[str, Sequence[Keeper]] | None = None,
    progress: Progress = no_stage_progress,
) -> AppliedSummary:
    """Move the photos of `root` to `quarantine` (the run's own by default) and keep their relative paths.

    `keepers`: path of a removal -> the photos that it is a copy of and that stay for it. Takes the run's lock. Raises
    UserError: nothing has moved where a photo changed since the scan, is missing or lies behind a link; where a disk
    refuses in the middle, what has moved stays in the journal, and undo takes it back.
    """
    if len({removal.path for removal in removals}) != len(removals):
        raise ValueError("a photo is to be removed twice")
    if not root.is_dir():
        raise UserError("", f"{root}: the collection is not there", "mount or move it back, or scan it where it is now")
    root = root.resolve()
    if quarantine is not None and quarantine.absolute() == run.quarantine.absolute():
        quarantine = None
    target = (run.quarantine if quarantine is None else quarantine).absolute()
    with run.lock("apply"), Journal(run.journal) as journal:
        recover(run, journal)
        todo, already = _check(journal, root, removals, keepers or {}, progress)
        moved = 0
        if todo:
            if quarantine is not None:
                _refuse_overlap(root, target)
                _refuse_foreign(target, journal)
            round_ = journal.begin(root, None if quarantine is None else target)
            _make_quarantine(target, None if quarantine is None else journal.history.identity)
            for batch in _batches(todo):
                _move_batch(run, journal, round_, target, batch)
                moved += len(batch)
                progress("moving", moved, len(todo))
        if journal.history.open_round is not None:
            journal.finish(journal.history.open_round)
    return AppliedSummary(moved, sum(removal.bytes for removal, _ in todo), already, target)


def _check(
    journal: Journal,
    root: Path,
    removals: Sequence[Removal],
    keepers: Mapping[str, Sequence[Keeper]],
    progress: Progress,
) -> tuple[list[tuple[Removal, os.stat_result]], int]:
    """The photos to move, each with the status that its content was found under, and how many moved before."""
    rounds = journal.history.rounds
    gone = {
        (move.removal.path, move.removal.content)
        for move in journal.history.in_state("moved")
        if rounds[move.round].root == root
    }
    todo, already, wrong = [], 0, []
    for number, removal in enumerate(removals, 1):
        try:
            todo.append((removal, _as_scanned(root, removal)))
        except (FileNotFoundError, NotADirectoryError):
            if (removal.path, removal.content) in gone:
                already += 1
            else:
                wrong.append((removal.path, "is not there any more"))
        except ContentChanged:
            wrong.append((removal.path, "has changed"))
        except OSError as error:
            wrong.append((removal.path, str(error.strerror)))
        progress("checking", number, len(removals))
    wrong += _changed_keepers(root, [(removal.path, keepers.get(removal.path, ())) for removal, _ in todo])
    if wrong:
        listed = "; ".join(f"{printable(path)}: {why}" for path, why in wrong[:_SHOWN])
        more = f"; and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        photos = "1 photo is" if len(wrong) == 1 else f"{len(wrong):,} photos are"
        raise UserError("", f"{photos} not as scanned ({listed}{more})", "nothing was moved: scan and find again")
    return todo, already


def _changed_keepers(root: Path, copies: Sequence[tuple[str, Sequence[Keeper]]]) -> list[tuple[str, str]]:
    """The keepers of these copies that are not as scanned: a copy must not go where it is the last one."""
    wrong, checked = [], set()
    for copy, keepers in copies:
        for keeper in keepers:
            if keeper in checked:
                continue
            checked.add(keeper)
            role = f"kept for its copy {printable(copy)}, "
            try:
                if Path(keeper.path).is_absolute():
                    _archived_as_scanned(keeper)
                else:
                    _as_scanned(root, keeper)
            except (FileNotFoundError, NotADirectoryError):
                wrong.append((keeper.path, role + "is not there any more"))
            except ContentChanged:
                wrong.append((keeper.path, role + "has changed"))
            except OSError as error:
                wrong.append((keeper.path, role + str(error.strerror)))
    return wrong


def _archived_as_scanned(keeper: Keeper) -> None:
    """The same of a photo of an archive, which is only looked at, so that links on the way to it do no harm."""
    from siamclip.data.image.decode import content_hash
    from siamclip.errors import ImageError

    if Path(keeper.path).stat().st_size != keeper.bytes:
        raise ContentChanged(keeper.path)
    try:
        found = content_hash(keeper.path)
    except ImageError as error:
        raise OSError(errno.EIO, error.reason) from error
    if found != keeper.content:
        raise ContentChanged(keeper.path)


def _as_scanned(root: Path, removal: Removal | Keeper) -> os.stat_result:
    """Raises ContentChanged, or OSError where it is missing, a link or no file."""
    folders, name = split(removal.path)
    with open_below(root, folders) as folder:
        place = Place(folder, name)
        status = place.stat()
        if not stat.S_ISREG(status.st_mode):
            is_link = stat.S_ISLNK(status.st_mode)
            raise OSError(errno.EINVAL, "a link to another file" if is_link else "not a regular file", removal.path)
        if status.st_size != removal.bytes:
            raise ContentChanged
        content, status = place.digest()
        if content != removal.content:
            raise ContentChanged
        return status


def _refuse_overlap(root: Path, quarantine: Path) -> None:
    resolved = quarantine.resolve()
    if resolved == root or root in resolved.parents or resolved in root.parents:
        raise UserError(
            "quarantine",
            f"must lie outside of the collection {root}, and not around it: the next scan would take its photos in",
            value=quarantine,
        )


def _refuse_foreign(quarantine: Path, journal: Journal) -> None:
    try:
        names = [entry.name for entry in os.scandir(quarantine)]
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError("quarantine", f"cannot be used ({error.strerror})", "give another folder", quarantine) from None
    if names and OWNER + journal.history.identity not in names:
        raise UserError("quarantine", "holds files that are not of this run", "give an empty folder", quarantine)


def _make_quarantine(quarantine: Path, owner: str | None) -> None:
    try:
        quarantine.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            (quarantine / (OWNER + owner)).touch()
    except OSError as error:
        raise UserError(
            "",
            f"{quarantine}: the quarantine cannot be made ({error.strerror})",
            "nothing was moved: give another place with `quarantine`",
        ) from None


def _batches(
    todo: Sequence[tuple[Removal, os.stat_result]],
) -> Iterator[list[tuple[Removal, os.stat_result]]]:
    for start in range(0, len(todo), BATCH):
        yield list(todo[start : start + BATCH])


def _move_batch(
    run: Run, journal: Journal, round_: Round, quarantine: Path, batch: Sequence[tuple[Removal, os.stat_result]]
) -> None:
    moves = journal.announce(round_, [(removal, _free_name(quarantine, removal.path, 1)) for removal, _ in batch])
    done: list[Move] = []
    try:
        for move, (_, seen) in zip(moves, batch, strict=True):
            done.append(_move(journal, round_, quarantine, move, seen))
    except BaseException as error:
        with suppress(UserError):  # the first error is the one to report; the next run recovers what this could not
            journal.mark("moved", done)
            recover(run, journal)
        if isinstance(error, OSError | ContentChanged):
            raise _stopped(journal, quarantine, moves[len(done)].removal.path, error) from error
        raise
    flush_folders(round_.root, [move.removal.path for move in done])
    flush_folders(quarantine, [move.to for move in done])
    journal.mark("moved", done)


def _move(journal: Journal, round_: Round, quarantine: Path, move: Move, seen: os.stat_result) -> Move:
    """The move that was made: another than the announced one where its target was not free after all.

    That happens where the quarantine's file system takes names for equal that the collection's tells apart.
    """
    folders, name = split(move.removal.path)
    with open_below(round_.root, folders) as source:
        for attempt in itertools.count(2):
            away_folders, away_name = split(move.to)
            try:
                with open_below(quarantine, away_folders, create=True) as away:
                    part = journal.part_name(move)
                    take(Place(source, name), Place(away, away_name), part, move.removal.content, seen)
                return move
            except (FileExistsError, NotADirectoryError):
                if attempt > 100:
                    raise
                journal.mark("not_moved", [move])
                (move,) = journal.announce(round_, [(move.removal, _free_name(quarantine, move.removal.path, attempt))])
    raise AssertionError("unreachable")


def _free_name(quarantine: Path, path: str, attempt: int) -> str:
    """`path`, or where that is taken the same path below a folder of its own: a name cannot become too long so."""
    for number in itertools.count(attempt):
        name = path if number == 1 else f"again-{number}/{path}"
        if not os.path.lexists(quarantine / name):
            return name
    raise AssertionError("unreachable")


def flush_folders(root: Path, paths: Sequence[str]) -> None:
    """Put the names of these files on the disk. Raises UserError."""
    for folders in {split(path)[0] for path in paths}:
        try:
            with open_below(root, folders) as folder:
                folder.sync()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # removed by now: nothing to flush
                raise UserError(
                    "", f"{root.joinpath(*folders)}: cannot be flushed to the disk ({error.strerror})"
                ) from None


def _stopped(journal: Journal, quarantine: Path, path: str, error: OSError | ContentChanged) -> UserError:
    number = len(journal.history.in_state("moved"))
    so_far = (
        f"{number:,} {'photo is' if number == 1 else 'photos are'} in the quarantine; undo brings back what is there"
    )
    if isinstance(error, ContentChanged):
        return UserError("", f"{path}: changed while apply was at work, and stays", f"{so_far}, or scan and find again")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError("", f"{quarantine}: is full", f"make room and run apply again, which goes on; {so_far}")
    return UserError(
        "", f"{path}: cannot be moved ({error.strerror})", f"correct that and run apply again, which goes on; {so_far}"
    )
