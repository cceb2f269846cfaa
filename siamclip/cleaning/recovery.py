"""What came of moves that were under way when a process ended: either way the bytes lie in one place at least.

Under way a photo is at its own place, in the quarantine, or, across file systems and in the middle of a step, at both.
Where its own place holds it whole it counts as not moved, and what had been made elsewhere is removed, which is
never the only copy.
"""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

from siamclip.cleaning.journal import Journal, Move
from siamclip.cleaning.real_folders import Place, open_below, parts_of
from siamclip.errors import UserError


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


def recover(run: Run, journal: Journal) -> None:
    """Settle every move that is under way, on the disk and in the journal. Raises UserError where a disk refuses."""
    for move in journal.history.in_state("moving", "returning"):
        root = journal.history.rounds[move.round].root
        try:
            at_home = _settle(root, quarantine_of(run, journal, move), move, journal.part_name(move))
        except OSError as error:
            raise UserError(
                f"{move.removal.path}: was being moved when the last run ended, and cannot be looked at "
                f"({error.strerror}); correct that and run the same command again"
            ) from None
        if move.state == "moving":
            journal.mark("not_moved" if at_home else "moved", [move])
        else:
            journal.mark("returned" if at_home else "not_returned", [move])


def _settle(root: Path, quarantine: Path, move: Move, part: str) -> bool:
    """Remove what is unfinished. True: the photo is at its own place, or nowhere that we would know of."""
    removal = move.removal
    home_folders, home_name = split(removal.path)
    away_folders, away_name = split(move.to)
    with ExitStack() as open_folders:
        home = _place(open_folders, root, home_folders, home_name)
        away = _place(open_folders, quarantine, away_folders, away_name)
        home_whole = home is not None and home.holds(removal.content)
        away_whole = away is not None and away.holds(removal.content)
        # Empty files are placeholders: see transfer.rename.
        placeholder = away is not None and _is_empty(away) and (home_whole or not away_whole)
        if away is not None and (placeholder or (home_whole and away_whole)):
            away.unlink()
        if home is not None and move.state == "returning" and not home_whole and away_whole and _is_empty(home):
            home.unlink()
        for place in (home, away):
            if place is not None:
                unfinished = Place(place.folder, part)
                if (home_whole or away_whole) and unfinished.exists():
                    unfinished.unlink()
                place.folder.sync()
    return home_whole or not away_whole


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
