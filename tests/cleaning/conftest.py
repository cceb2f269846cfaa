"""A collection of small files and its RUN."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.cleaning.run_folder import RunFolder
from tests.cleaning.photo_trees import FILES, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "data", FILES)
    return tmp_path / "data"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")
