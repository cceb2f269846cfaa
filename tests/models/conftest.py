from __future__ import annotations

import pytest

from tests.small_clip import shrink_clip


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_clip(monkeypatch)
