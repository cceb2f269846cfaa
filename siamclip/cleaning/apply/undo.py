"""Bring photos back from the quarantine to where they were: the same bytes under the same names.

Nothing is written over: where a file lies at a photo's place now, the photo stays in the quarantine and the result
says so. A killed undo is continued by running it again.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from siamclip.cleaning.apply.apply import BATCH, Progress, flush_folders, no_stage_progress
from siamclip.cleaning.apply.moving.journal import Journal, Move
from siamclip.cleaning.apply.moving.real_folders import Place, open_below
from siamclip.cleaning.apply.moving.recovery import (
    OWNER,
    Run,
    quarantine_of,
    recover,
    refuse_missing_quarantine,
    split,
)
from siamclip.cleaning.apply.moving.transfer import ContentChanged, put_back
from siamclip.errors import UserError

OCCUPIED = "another file lies at its place now"


@dataclass
class UndoSummary:
    """What one undo did. `problems`: (path, what is wrong) of the photos that stay in the quarantine."""

    returned: int = 0
    bytes: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


def undo(run: Run, *, last: bool = False, progress: Progress = no_stage_progress) -> UndoSummary:
    """Take back every apply of the run, or only the last one that still has photos in the quarantine.

    Takes the run's lock. Photos that cannot come back do not keep the others from it: see `UndoSummary.problems`.
    Raises UserError where nothing was ever applied, or the collection or quarantine is not where it was.
    """
    if not run.journal.exists():
        raise UserError("", f"{run.journal}: there is none, so nothing was applied that could be undone")
    summary = UndoSummary()
    with run.lock("undo"), Journal(run.journal) as journal:
        _refuse_missing(run, journal)
        summary.problems += [(path, "is neither at its place nor in the quarantine") for path in recover(run, journal)]
        moves = journal.history.in_state("moved")[::-1]
        if last and moves:
            newest = max(move.round for move in moves)
            moves = [move for move in moves if move.round == newest]
        for start in range(0, len(moves), BATCH):
            _return_batch(run, journal, moves[start : start + BATCH], summary)
            progress("bringing back", min(start + BATCH, len(moves)), len(moves))
        _remove_empty_folders(run, journal)
    return summary


def _refuse_missing(run: Run, journal: Journal) -> None:
    """An unmounted disk is an empty folder: bringing photos back into that would hide them."""
    one_of_each = {move.round: move for move in journal.history.in_state("moved", "returning")}
    refuse_missing_quarantine(run, journal, one_of_each.values())
    for number, move in one_of_each.items():
        root = journal.history.rounds[number].root
        if not root.is_dir():
            raise UserError("", f"{root}: the collection is not there any more", "mount it or move it back, then undo")
        folders, _ = split(move.removal.path)
        if folders and not any(os.scandir(root)):
            raise UserError(
                "",
                f"{root}: the collection's folder is empty",
                f"mount its disk, or make the folder {folders[0]} in it if this is where the photos belong, then undo",
            )


def _return_batch(run: Run, journal: Journal, moves: list[Move], summary: UndoSummary) -> None:
    ready: dict[tuple[Path, str], Move] = {}  # a place can take one photo; moves come newest first
    for move in moves:
        place = (journal.history.rounds[move.round].root, move.removal.path)
        if place in ready:
            summary.problems.append((move.removal.path, OCCUPIED))
        elif _can_return(run, journal, move, summary):
            ready[place] = move
    journal.mark("return", list(ready.values()))
    done, failed = [], []
    try:
        for move in ready.values():
            try:
                _return(run, journal, move)
            except FileExistsError:
                failed.append((move, OCCUPIED))
            except ContentChanged:
                failed.append((move, "changed in the quarantine"))
            except OSError as error:
                failed.append((move, f"cannot be brought back: {error.strerror}"))
            else:
                done.append(move)
    except BaseException:
        with suppress(UserError):  # the first error is the one to report; the next run recovers what this could not
            journal.mark("returned", done)
            recover(run, journal)
        raise
    for root in {journal.history.rounds[move.round].root for move in done}:
        here = [move for move in done if journal.history.rounds[move.round].root == root]
        flush_folders(root, [move.removal.path for move in here])
    journal.mark("returned", done)
    journal.mark("not_returned", [move for move, _ in failed])
    summary.returned += len(done)
    summary.bytes += sum(move.removal.bytes for move in done)
    summary.problems += [(move.removal.path, why) for move, why in failed]


def _can_return(run: Run, journal: Journal, move: Move, summary: UndoSummary) -> bool:
    """The quarantine holds the same bytes still, and nothing lies where they belong."""
    away_folders, away_name = split(move.to)
    home_folders, home_name = split(move.removal.path)
    root = journal.history.rounds[move.round].root
    why = ""
    try:
        with open_below(quarantine_of(run, journal, move), away_folders) as away:
            if Place(away, away_name).digest()[0] != move.removal.content:
                why = "changed in the quarantine"
    except (FileNotFoundError, NotADirectoryError):
        why = "is not in the quarantine any more"
    except OSError as error:
        why = f"cannot be read in the quarantine: {error.strerror}"
    try:
        with open_below(root, home_folders) as home:
            if not why and Place(home, home_name).exists():
                why = OCCUPIED
    except FileNotFoundError:
        pass  # the folder will be made again
    except OSError as error:
        why = why or f"its folder cannot be entered: {error.strerror}"
    if why:
        summary.problems.append((move.removal.path, why))
    return not why


def _return(run: Run, journal: Journal, move: Move) -> None:
    away_folders, away_name = split(move.to)
    home_folders, home_name = split(move.removal.path)
    root = journal.history.rounds[move.round].root
    with ExitStack() as folders:
        away = folders.enter_context(open_below(quarantine_of(run, journal, move), away_folders))
        home = folders.enter_context(open_below(root, home_folders, create=True))
        put_back(Place(away, away_name), Place(home, home_name), journal.part_name(move), move.removal.content)


def _remove_empty_folders(run: Run, journal: Journal) -> None:
    """The folders that apply made in its quarantines, where nothing is left in them."""
    given = (round_.quarantine for round_ in journal.history.rounds.values())
    back: dict[Path, set[PurePosixPath]] = {run.quarantine if folder is None else folder: set() for folder in given}
    for move in journal.history.in_state("in place"):
        back[quarantine_of(run, journal, move)] |= set(PurePosixPath(move.to).parents) - {PurePosixPath(".")}
    for quarantine, folders in back.items():
        if quarantine.is_symlink() or not quarantine.is_dir():
            continue
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            _remove_if_empty(quarantine, folder)
        if quarantine == run.quarantine:
            with suppress(OSError):  # not empty: photos are left in it
                quarantine.rmdir()
        elif [entry.name for entry in os.scandir(quarantine)] == [OWNER + journal.history.identity]:
            (quarantine / (OWNER + journal.history.identity)).unlink()


def _remove_if_empty(quarantine: Path, folder: PurePosixPath) -> None:
    try:
        with open_below(quarantine, folder.parts[:-1]) as parent:
            os.rmdir(parent.named(folder.name), dir_fd=parent.descriptor)
    except OSError:  # not empty, or gone already
        pass
