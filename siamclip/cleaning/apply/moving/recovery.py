"""What came of moves that were under way when a process ended: either way the bytes lie in one place at least.

Under way a photo is at its own place, in the quarantine, or, across file systems and in the middle of a step, at both.
Where its own place holds it whole it counts as not moved, and what had been made elsewhere is removed, which is
never the only copy.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

from siamclip.cleaning.apply.moving.journal import Journal, Move
from siamclip.cleaning.apply.moving.real_folders import Place, open_below, parts_of
from siamclip.errors import UserError

OWNER = ".siamclip-quarantine-"  # and the journal's identity: an empty file in a quarantine outside of the run


class Run(Protocol):
    """What apply and undo need of a RunFolder."""

    @property
    def journal(self) -> Path: ...

    @property
    def quarantine(self) -> Path: ...

    def lock(self, doing: str) -> AbstractContextManager[None]: ...


def quarantine_of(run: Run, journal: Journal, move: Move) -> Path:
    folder = journal.history.rounds[move.round].quarantine
    return run.quarantine if folder is None else folder


def split(relative: str) -> tuple[tuple[str, ...], str]:
    """Folders and name of a relative path. Raises UserError where it could lead elsewhere."""
    *folders, name = parts_of(relative)
    return tuple(folders), name


def refuse_missing_quarantine(run: Run, journal: Journal, moves: Iterable[Move]) -> None:
    """Raises UserError where a quarantine is not there: what is looked for in it would count as lost.

    The disk of one outside of the run may not be mounted, its folder be there and empty: its owner's mark tells.
    """
    for number in {move.round for move in moves}:
        given = journal.history.rounds[number].quarantine
        folder = run.quarantine if given is None else given
        if not folder.is_dir() or (given is not None and not (given / (OWNER + journal.history.identity)).exists()):
            raise UserError("", f"{folder}: the quarantine is not there", "mount it or move it back, then try again")


def recover(run: Run, journal: Journal) -> list[str]:
    """Settle every move that is under way, on the disk and in the journal.

    Returns the paths of photos that are neither at their places nor in the quarantine: others took or changed them.
    Raises UserError where a disk refuses, or a quarantine is missing.
    """
    under_way = journal.history.in_state("moving", "returning")
    refuse_missing_quarantine(run, journal, under_way)
    lost = []
    for move in under_way:
        root = journal.history.rounds[move.round].root
        try:
            home, away = _settle(root, quarantine_of(run, journal, move), move, journal.part_name(move))
        except OSError as error:
            raise UserError(
                "",
                f"{move.removal.path}: was being moved when the last run ended, and cannot be looked at "
                f"({error.strerror})",
                "correct that and run the same command again",
            ) from None
        if not home and not away:
            lost.append(move.removal.path)
        in_quarantine = away and not home
        if move.state == "moving":
            journal.mark("moved" if in_quarantine else "not_moved", [move])
        else:
            journal.mark("not_returned" if in_quarantine else "returned", [move])
    return lost


def _settle(root: Path, quarantine: Path, move: Move, part: str) -> tuple[bool, bool]:
    """Remove what is unfinished. Where the photo was found whole: at its own place, in the quarantine."""
    removal = move.removal
    home_folders, home_name = split(removal.path)
    away_folders, away_name = split(move.to)
    with ExitStack() as open_folders:
        home = _place(open_folders, root, home_folders, home_name)
        away = _place(open_folders, quarantine, away_folders, away_name)
        home_whole = home is not None and home.holds(removal.content)
        away_whole = away is not None and away.holds(removal.content)
        # Empty files are placeholders (see transfer.rename), of an empty photo too: they lack its time and mode.
        if home is not None and move.state == "returning" and away_whole and _is_empty(home):
            home.unlink()
            home_whole = False
        placeholder = away is not None and _is_empty(away) and (home_whole or not away_whole)
        if away is not None and (placeholder or (home_whole and away_whole)):
            away.unlink()
        for place in (home, away):
            if place is not None:
                unfinished = Place(place.folder, part)
                if (home_whole or away_whole) and unfinished.exists():
                    unfinished.unlink()
                place.folder.sync()
    return home_whole, away_whole


def _place(open_folders: ExitStack, root: Path, folders: tuple[str, ...], name: str) -> Place | None:
    """None where there is no such folder (any more)."""
    try:
        return Place(open_folders.enter_context(open_below(root, folders)), name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _is_empty(place: Place) -> bool:
    return place.exists() and place.stat().st_size == 0
