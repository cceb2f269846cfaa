"""The line a minute, and the mean of the losses."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from siamclip.cli.progress_bars import Bars
from siamclip.diffusion.training.run import meter
from siamclip.diffusion.training.run.meter import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(meter.time, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_where_there_is_no_terminal(clock: list[float]) -> None:
    counted = Meter(Bars(Console(file=io.StringIO())), steps=100, first=40, photos_per_step=8)
    lines = []
    for _ in range(13):
        clock[0] += 10
        lines.append(counted.advance(0.5))
        counted.take_loss()
    assert [i for i, line in enumerate(lines) if line] == [5, 11]
    assert lines[5] == "step 46/100: loss 0.5000, 0.8 photos/s, 0:09:00 left"


def test_no_line_beside_a_bar(clock: list[float]) -> None:
    counted = Meter(Bars(Console(file=io.StringIO(), force_terminal=True)), steps=100, first=0, photos_per_step=8)
    clock[0] += 1000
    assert counted.advance(0.5) is None


def test_loss_is_the_mean_since_it_was_taken(clock: list[float]) -> None:
    counted = Meter(Bars(None), steps=100, first=0, photos_per_step=8)
    for loss in (1.0, None, 3.0):
        counted.advance(loss)
    assert counted.take_loss() == 2
    assert counted.take_loss() is None
    counted.advance(7.0)
    assert counted.take_loss() == 7
