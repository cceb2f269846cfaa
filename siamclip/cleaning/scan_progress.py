"""The bar of a scan, with the time left. On a terminal only."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ScanProgress:
    """A context manager; without a console it says nothing."""

    def __init__(self, console: Console | None, total: int) -> None:
        self._bar = Progress(
            TextColumn("reading photos"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=console is None or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> ScanProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def advance(self, photos: int) -> None:
        self._bar.advance(self._task, photos)
