"""What every test of a training starts with."""

from __future__ import annotations

from pathlib import Path

import pytest

import config_augment
from tests.diffusion.training.tiny_ddpm import TINY, collection


@pytest.fixture
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config_augment.DDPM_PRESETS, "small", TINY)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return collection(tmp_path / "photos")
