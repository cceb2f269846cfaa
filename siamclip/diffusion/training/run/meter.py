"""How far a training is, how fast it goes, and its loss."""

from __future__ import annotations

import time

from siamclip.cli.console import duration
from siamclip.cli.progress_bars import Bars

SECONDS_BETWEEN_LINES = 60  # where there is no terminal for a bar


class Meter:
    """Moves a bar on the terminal, and makes a line a minute for elsewhere."""

    def __init__(self, bars: Bars, steps: int, first: int, photos_per_step: int) -> None:
        """Of `steps` steps `first` are done."""
        self._bars, self._steps, self._first, self._done = bars, steps, first, first
        self._photos_per_step = photos_per_step
        self._task = bars.add_task("", total=steps, completed=first)
        self._losses: list[float] = []
        self._shown = ""
        self._started = self._last_line = time.monotonic()

    def advance(self, loss: float | None) -> str | None:
        """A step is done; `loss` is None where it had no photo. Returns a line that is due."""
        self._done += 1
        if loss is not None:
            self._losses.append(loss)
        now = time.monotonic()
        steps_per_second = (self._done - self._first) / max(now - self._started, 1e-9)
        figures = f"{steps_per_second * self._photos_per_step:.1f} photos/s"
        self._bars.update(self._task, completed=self._done, description=f"{self._shown}{figures}")
        if not self._bars.disable or now - self._last_line < SECONDS_BETWEEN_LINES:
            return None
        self._last_line = now
        left = duration((self._steps - self._done) / steps_per_second)
        return f"step {self._done:,}/{self._steps:,}: {self._shown}{figures}, {left} left"

    def take_loss(self) -> float | None:
        """Mean of the losses since it was asked for last; None where there was none."""
        losses, self._losses = self._losses, []
        if not losses:
            return None
        mean = sum(losses) / len(losses)
        self._shown = f"loss {mean:.4f}, "
        return mean
