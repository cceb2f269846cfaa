"""Runs apply and undo in processes that get killed, and looks after each whether a byte is missing.

    python -m tests.cleaning.killed_runs points apply FOLDER near     killed before each single step in turn
    python -m tests.cleaning.killed_runs clock apply FOLDER near 50   killed 50 times at random moments

The last word says what the file systems pretend to be: see `pretend`. Each kill is followed by the same command
again or by the other one, which must end in the whole. A script of its own because it forks:
that is safe in a process without threads only.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from siamclip.cleaning.apply.apply import apply
from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.run_folder import RunFolder
from tests.cleaning.photo_trees import NOT_UTF8, contents, on_its_own_disk, removals_of, snapshot, write

FILES = {
    "a/1.jpg": b"one" * 1000,
    "a/2.jpg": b"two",
    "b/1.jpg": b"the same name" * 50,
    "b/copy.jpg": b"two",
    "b/empty.jpg": b"",
    f"c/d/{NOT_UTF8}": b"deep",
    "c/kept.jpg": b"kept",
    "e/gone.jpg": b"\0" * 3000,
}
REMOVED = [path for path in FILES if path not in ("a/2.jpg", "c/kept.jpg")]
# Whatever changes the disk: between two of them it does not matter when a process is killed.
STEPS = ("open", "write", "ftruncate", "rename", "link", "unlink", "mkdir", "rmdir", "utime", "fchmod")
RENAME, LINK = os.rename, os.link


class Case:
    """A collection, its quarantine and what it should look like before and after."""

    def __init__(self, folder: Path, disks: str) -> None:
        self.folder, self.far = folder, disks == "far"
        self.root = folder / "data"
        self.run = RunFolder(folder / "run")
        self.quarantine = folder / "elsewhere" if self.far else self.run.quarantine
        write(self.root, FILES)
        self.before = snapshot(self.root)
        self.contents = contents(self.root)
        self.removals = removals_of(self.root, REMOVED)

    def apply(self) -> None:
        apply(self.run, self.root, self.removals, quarantine=self.quarantine if self.far else None)

    def undo(self) -> None:
        if self.run.journal.exists():  # else killed before it was made
            assert undo(self.run).problems == []

    def check_nothing_is_lost(self) -> None:
        missing = set(self.contents) - set(contents(self.root, self.quarantine))
        assert not missing, missing

    def check_applied(self) -> None:
        away = snapshot(self.quarantine)
        marks = [path for path in away if path.startswith(".siamclip-quarantine-")]
        assert len(marks) == self.far, sorted(away)
        for path in marks:
            del away[path]
        assert away == {path: self.before[path] for path in REMOVED}
        assert snapshot(self.root) == {path: self.before[path] for path in self.before if path not in REMOVED}

    def check_undone(self) -> None:
        assert snapshot(self.root) == self.before
        left = list(self.quarantine.iterdir()) if self.quarantine.exists() else []
        assert left == [], left


def pretend(disks: str, quarantine: Path) -> None:
    """near: one file system; far: `quarantine` is one of its own; no_links: one without hard links."""
    os.rename, os.link = RENAME, LINK
    if disks == "far":
        os.rename, os.link = on_its_own_disk(RENAME, quarantine), on_its_own_disk(LINK, quarantine)
    if disks == "no_links":
        os.link = no_links


def no_links(*args: Any, **words: Any) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def die_at(point: int) -> None:
    """From here on, before the step number `point` this process kills itself; a write is two steps."""
    count = 0

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **words: Any) -> Any:
            nonlocal count
            count += name != "open" or bool(args[1] & os.O_CREAT)
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "write":
                count += 1
                if count == point:
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **words)

        return step

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def killed(work: Callable[[], None], prepare: Callable[[], None], delay: float | None) -> bool:
    """Whether `work` was killed, by itself or after `delay` seconds; False where it came to its end."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            prepare()
            work()
            code = 0
        finally:
            os._exit(code)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, f"exit code {os.WEXITSTATUS(status)}"
    return False


def interrupted(case: Case, command: str, prepare: Callable[[], None], delay: float | None) -> bool:
    if command == "undo":
        case.apply()
    was_killed = killed(getattr(case, command), prepare, delay)
    case.check_nothing_is_lost()
    return was_killed


def settle(case: Case, go_on: bool, command: str) -> None:
    """The same command again, or the other one; in the end the collection is as it was."""
    if (command == "apply") == go_on:
        case.apply()
        case.check_applied()
    case.undo()
    case.check_undone()


def at_every_point(command: str, folder: Path, disks: str) -> int:
    # A kill leaves to the system what was written: only a power cut tells whether it was flushed.
    os.fsync = lambda descriptor: None
    point = 0
    while True:
        point += 1
        for go_on in (True, False):
            case = Case(folder / f"{point}-{go_on}", disks)
            pretend(disks, case.quarantine)

            def prepare(at: int = point) -> None:
                die_at(at)

            was_killed = interrupted(case, command, prepare, None)
            settle(case, go_on, command)
            shutil.rmtree(case.folder)
        if not was_killed:
            return point - 1


def by_the_clock(command: str, folder: Path, disks: str, kills: int) -> int:
    rng = random.Random(command + disks)
    done = 0
    longest = 0.02
    for number in range(20 * kills):
        case = Case(folder / str(number), disks)
        pretend(disks, case.quarantine)
        was_killed = interrupted(case, command, lambda: None, rng.uniform(0, longest))
        # As often killed as not: neither always before the first step nor after the last one.
        longest *= 1.03 if was_killed else 0.97
        done += was_killed
        settle(case, rng.random() < 0.5, command)
        shutil.rmtree(case.folder)
        if done == kills:
            return done
    raise AssertionError(f"only {done} kills")


if __name__ == "__main__":
    how, what, where, disks, *number_of_kills = sys.argv[1:]
    if how == "points":
        print(at_every_point(what, Path(where), disks))
    else:
        print(by_the_clock(what, Path(where), disks, int(number_of_kills[0])))
