"""apply and undo in processes that are killed with SIGKILL, before each single step and at random moments."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.run_folder import RunFolder
from tests.cleaning.photo_trees import snapshot, write

ROOT = Path(__file__).resolve().parents[3]
KILLS = 25  # in each of four ways
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a file system: thousands of small folders are made and removed."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def killed_runs(*arguments: str) -> int:
    command = [sys.executable, "-m", "tests.cleaning.killed_runs", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@forks
@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "disks"), [("apply", "near"), ("apply", "far"), ("undo", "near"), ("undo", "far"), ("undo", "no_links")]
)
def test_killed_before_each_step(command: str, disks: str, folder: Path) -> None:
    steps = killed_runs("points", command, str(folder), disks)
    assert steps > (50 if disks == "far" else 20)  # six photos, each with several steps


@forks
@pytest.mark.slow
@pytest.mark.parametrize("disks", ["near", "far"])
@pytest.mark.parametrize("command", ["apply", "undo"])
def test_killed_by_the_clock(command: str, disks: str, folder: Path) -> None:
    assert killed_runs("clock", command, str(folder), disks, str(KILLS)) == KILLS


APPLY = """
import sys
from pathlib import Path
from siamclip.cleaning.apply.apply import apply
from siamclip.cleaning.run_folder import RunFolder
from siamclip.errors import exit_on_user_error
from tests.cleaning.photo_trees import removals_of

def wait(stage, done, total):
    if wanted == "wait" and stage == "moving":
        print("holding", flush=True)
        sys.stdin.readline()

root, run, wanted = sys.argv[1:]
with exit_on_user_error():
    apply(RunFolder(run), Path(root), removals_of(Path(root), ["a/1.jpg"]), progress=wait)
"""


def test_two_applies_at_once(tmp_path: Path) -> None:
    root, run = tmp_path / "data", tmp_path / "run"
    write(root, {"a/1.jpg": b"one", "a/2.jpg": b"two"})
    before = snapshot(root)

    def start(wanted: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", APPLY, str(root), str(run), wanted]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)  # type: ignore[call-overload,no-any-return]

    first = start("wait")
    assert first.stdout is not None and first.stdout.readline() == "holding\n"
    write(root, {"a/1.jpg": b"another one"})
    second = start("go")
    _, said = second.communicate(timeout=60)
    assert second.returncode == 2
    assert f"in use by process {first.pid} (apply)" in said
    assert (root / "a/1.jpg").read_bytes() == b"another one"
    first.communicate("\n", timeout=60)
    assert first.returncode == 0
    third = start("go")
    assert third.communicate(timeout=60) == ("", "") and third.returncode == 0

    summary = undo(RunFolder(run))
    assert (summary.returned, [path for path, _ in summary.problems]) == (1, ["a/1.jpg"])  # two photos, one place
    assert snapshot(root).keys() == before.keys()
