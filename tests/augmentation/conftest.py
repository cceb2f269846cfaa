"""What the tests of augmentation share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.augmentation.killed_outputs import PHOTOS


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for photo in PHOTOS:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(photo.encode() * 50)
    return root
