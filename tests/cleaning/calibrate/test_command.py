"""A session of calibration from the first question to the threshold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.calibrate.calibrate import (
    load_session,
)
from siamclip.cleaning.calibrate.command import calibrate
from siamclip.errors import UserError
from tests.cleaning.calibrate.copied_photos import copies, truth_of


def test_a_whole_session(tmp_path: Path) -> None:
    photos, generator = copies(30, 40), np.random.default_rng(0)
    photos.root = tmp_path / "photos"
    for path in photos.paths[:-1]:  # the last one is gone: its pairs are shown without it
        (photos.root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(photos.root / path)
    said: list[str] = []
    assert calibrate(tmp_path, photos, "phash", questions=40, threshold=5, read=None, write=said.append) is None
    assert (tmp_path / "calibration-phash.html").exists()
    stored = load_session(tmp_path / "calibration-phash.json")
    assert stored is not None
    rows = [[*key.split(" "), answer] for key, answer in truth_of(stored[0]).items()]
    (tmp_path / "answers.json").write_text(json.dumps({"format": 1, "method": "phash", "answers": rows}))
    figures = calibrate(
        tmp_path, photos, "phash", questions=40, threshold=5, answers=tmp_path / "answers.json", write=said.append
    )
    assert figures == tmp_path / "threshold-phash.json"
    result = json.loads(figures.read_bytes())
    assert result["answered"] == 40
    assert result["threshold"]["setting"] in " ".join(said)
    with Image.open(tmp_path / "threshold-phash.png") as picture:
        assert min(picture.size) > 300
    # more questions keep the answers, and another collection or seed is told
    calibrate(tmp_path, photos, "phash", questions=60, threshold=5, read=lambda _: "q", write=said.append)
    more = load_session(tmp_path / "calibration-phash.json")
    assert more is not None
    assert len(more[0].questions) == 60
    assert set(more[1]) == {row[0] + " " + row[1] for row in rows}
    with pytest.raises(UserError, match="asks up to a distance of 16"):
        calibrate(tmp_path, photos, "phash", questions=60, max_distance=20, read=None)
    with pytest.raises(UserError, match="are of seed 0"):
        calibrate(tmp_path, photos, "phash", questions=60, seed=1, read=None)
    photos.content[0] = b"f" * 32
    with pytest.raises(UserError, match="before the collection changed"):
        calibrate(tmp_path, photos, "phash", questions=60, read=None)


@pytest.mark.parametrize("method", ["phas", "laplacian", "label_errors"])
def test_a_method_without_a_distance_is_refused(method: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"^method {method}: has no distance to calibrate; choose one of phash, .*semantic$"
    ):
        calibrate(tmp_path, copies(2, 2), method, questions=12, read=None)
    assert not list(tmp_path.iterdir())
