"""The RUN folder belongs to one collection and to one process at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from siamclip.cleaning.run_folder import MARKER, RunFolder
from siamclip.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from siamclip.cleaning.run_folder import RunFolder
with RunFolder(sys.argv[1]).lock("apply"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_belongs_to_one_collection(data: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "a" / "run")
    run.create(data)
    run.create(data)
    assert run.root == data.resolve()
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match=r"holds the scan of .*data, not of .*other; give another out"):
        run.create(tmp_path / "other")


def test_is_not_the_collection_itself(data: Path) -> None:
    with pytest.raises(UserError, match="is the collection itself"):
        RunFolder(data).create(data)
    assert list(data.iterdir()) == []


def test_what_is_no_run_of_this_version_is_refused(data: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(UserError, match="is not a RUN folder"):
        _ = run.root
    run.create(data)
    run.marker.write_text(json.dumps({"format": 2, "root": str(data)}))
    with pytest.raises(UserError, match="was written in format 2, this version reads 1"):
        run.create(data)
    for damaged in ("", "[]", '{"format": 1}'):
        run.marker.write_text(damaged)
        with pytest.raises(UserError, match=MARKER):
            _ = run.root


def test_a_folder_that_cannot_be_made_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file"):
        RunFolder(tmp_path / "file" / "run").create(data)
    with pytest.raises(UserError, match="cannot be locked"), RunFolder(tmp_path / "file" / "run").lock():
        pass


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    command = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(UserError, match=rf"in use by process {holder.pid} \(apply\)"), run.lock():
            pass
        holder.kill()  # a holder that is gone holds nothing
    for _ in range(2):
        with run.lock("scan"), pytest.raises(UserError, match="in use by"), RunFolder(run.path).lock():
            pass
