"""The curves of a training run: those that its history has, drawn the same each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from siamclip.training.run.curves import training_curves

HISTORY = [
    {"epoch": 0.0, "val_loss": 0.4, "val_auc": 0.7, "val_eer": 0.3, "mean_cosine": 0.5, "effective_rank": 40.0},
    {"epoch": 1.0, "loss": 0.3, "learning_rate": 1e-4, "val_loss": 0.2, "val_auc": 0.8, "val_eer": 0.2},
    {"epoch": 2.0, "loss": 0.2, "learning_rate": 5e-5, "val_loss": 0.2, "val_auc": 0.9, "active_negatives": 0.4},
]


def test_every_panel_that_the_history_has_is_drawn(tmp_path: Path) -> None:
    heights = []
    for name, history in (("before", HISTORY[:1]), ("trained", HISTORY)):
        training_curves(history, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            heights.append(picture.size[1])
    assert heights[0] < heights[1]  # more columns, more panels


def test_the_same_history_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        training_curves(HISTORY, tmp_path / name)
    training_curves([*HISTORY[:-1], HISTORY[-1] | {"loss": 0.9}], tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()


def test_an_empty_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="history is empty"):
        training_curves([], tmp_path / "a.png")
