"""What a training run leaves to look at: history CSV, curves, TensorBoard, the effective settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically

Row = dict[str, float]


class RunLog:
    """`logs/<run>/`: rewritten whole after each epoch, so that a killed run leaves complete files.

    Raises UserError where the folder cannot be written: the run goes on later from its last checkpoint.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # Points that a run drew before it was killed, and will draw again, are hidden.
            self._board = SummaryWriter(str(folder), purge_step=steps_done + 1)

    def settings(self, yaml_text: str) -> None:
        with _writing(self.folder):
            write_atomically(self.folder / "config.yaml", yaml_text.encode("utf-8", "surrogatepass"))

    def skipped(self, files: Sequence[tuple[str, str]]) -> None:
        """(path, reason) of every file that was left out."""
        with _writing(self.folder):
            write_atomically(self.folder / "skipped.csv", _as_csv([("path", "reason"), *sorted(files)]))

    def step(self, step: int, values: Row) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"step/{name}", value, step)

    def epoch(self, history: Sequence[Row], step: int) -> None:
        """Write the history of all epochs so far, `step` optimiser steps, and draw it."""
        from siamclip.training.run.curves import training_curves

        names = list(dict.fromkeys(name for row in history for name in row))
        rows = [[row.get(name, "") for name in names] for row in history]
        with _writing(self.folder):
            for name, value in history[-1].items():
                self._board.add_scalar(f"epoch/{name}", value, step)
            self._board.flush()
            write_atomically(self.folder / "history.csv", _as_csv([names, *rows]))
            training_curves(history, self.folder / "training_curves.png")

    def close(self) -> None:
        self._board.close()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem, remedy = f"cannot be written ({error.strerror})", "make room or choose another, and `resume`"
        raise UserError("log_dir", problem, remedy, folder) from error


def _as_csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogatepass")
