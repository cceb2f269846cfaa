"""A folder that one process holds alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from siamclip.errors import UserError
from siamclip.files.lock import hold

ROOT = Path(__file__).resolve().parents[2]
HOLDS = "import sys, pathlib\nfrom siamclip.files.lock import hold\nwith hold(pathlib.Path(sys.argv[1]), 'scan'):\n"


def test_the_holder_is_named(tmp_path: Path) -> None:
    with hold(tmp_path / "run", "scan"):
        with pytest.raises(UserError) as error, hold(tmp_path / "run", "find"):
            pass
        assert str(error.value) == (
            f"{tmp_path / 'run'}: is in use by process {os.getpid()} (scan); wait until it is done"
        )
        with (
            pytest.raises(UserError, match=r"^output_dir .*run: is in use by"),
            hold(tmp_path / "run", "mix", "output_dir"),
        ):
            pass
    with hold(tmp_path / "run", "find"):
        pass


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    killed = [sys.executable, "-c", f"{HOLDS} import os; os._exit(9)", str(tmp_path)]
    assert subprocess.run(killed, cwd=ROOT, check=False).returncode == 9
    with hold(tmp_path, "find"):
        pass


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot be locked .*; the folder must be writable"),
        hold(tmp_path / "file", "x"),
    ):
        pass
