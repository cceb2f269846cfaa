"""A copy of the old artefacts at a place of its own, and the scripts to run there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.compatibility.artefacts import Script, script_runner
from tests.compatibility.small_networks import shrink

MADE_AT = "/data/old"  # what the artefacts record as their place
TEXT = (".json", ".jsonl", ".yaml", ".csv")


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """The working directory, with the artefacts as if they had been made here; networks are as small as theirs."""
    place = tmp_path / "old"
    shutil.copytree(Path(__file__).with_name("old"), place)
    for file in place.rglob("*"):
        if file.suffix in TEXT:
            content = file.read_bytes()
            if MADE_AT.encode() in content:
                file.write_bytes(content.replace(MADE_AT.encode(), str(place).encode()))
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "200")
    shrink(monkeypatch)
    return place


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Script:
    return script_runner(monkeypatch, capsys)
