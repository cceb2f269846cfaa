"""Progress of long steps on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bars(Progress):
    """Bars with the time left, on a terminal only; without a console they say nothing."""

    def __init__(self, console: Console | None) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        super().__init__(*columns, console=console, disable=console is None or not console.is_terminal, transient=True)

    def step(self, name: str, total: int) -> Callable[[int], Any]:
        """A bar; what is returned takes the number done since its last call."""
        task = self.add_task(name, total=total)
        return lambda done: self.advance(task, done)

    def stages(self) -> Callable[[str, int, int], None]:
        """For what reports (stage, done, total)."""
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = self.add_task(stage, total=total)
            self.update(tasks[stage], completed=done, total=total)

        return report
