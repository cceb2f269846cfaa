"""The scripts, run in this process as the command line runs them, and the files that they leave."""

from __future__ import annotations

import csv
import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CPU = ("--device", "cpu", "--precision", "fp32")

Script = Callable[..., str]


def script_runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    """`run("clean.py", "find", ...)`, which returns what was printed."""

    def run(script: str, *arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        code: object = 0
        try:
            runpy.run_path(str(PROJECT / script), run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
        printed = capsys.readouterr()
        assert code == 0, printed.out + printed.err
        return printed.out

    return run


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: str | Path) -> dict[str, bytes]:
    """Path -> content of every file below a folder, but for locks."""
    found = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
