"""What a training run says on the terminal: the bar with the time left, a line an epoch, warnings, the result."""

from __future__ import annotations

import time
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import nn

from siamclip.cli.console import duration
from siamclip.metrics.collapse import Collapse


class TrainingProgress:
    """A context manager; on a terminal a live bar, elsewhere silent (each epoch prints its own line)."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]} photos/s  left {task.fields[left]}  elapsed"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, epoch=0, epochs=0, loss="-", rate="-", left="-")
        self._batches = self._batches_done = self._photos = 0
        self._first_batch = 0
        self._started = time.monotonic()

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        self._batches = batches * epochs
        if not self._batches_done:
            self._first_batch = batches * epoch + done
        self._batches_done = batches * epoch + done
        self._bar.update(self._task, epoch=epoch + 1, epochs=epochs, total=self._batches, completed=self._batches_done)

    def advance(self, photos: int, loss: float | None) -> None:
        self._batches_done += 1
        self._photos += photos
        elapsed = time.monotonic() - self._started
        left = elapsed / (self._batches_done - self._first_batch) * (self._batches - self._batches_done)
        self._bar.update(
            self._task,
            completed=self._batches_done,
            loss="-" if loss is None else f"{loss:.4f}",
            rate=f"{self._photos / elapsed:.0f}",
            left=duration(left),
        )


def weights_line(encoder: nn.Module, precision: torch.dtype | None, device: torch.device) -> str:
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad) / 1e6
    precision_name = str(precision or torch.float32).removeprefix("torch.")
    return f"{trained:.1f} million weights are trained, in {precision_name} on {device}"


def epoch_line(row: dict[str, float], epochs: int) -> str:
    head = f"epoch {row['epoch']:.0f}/{epochs}" if row["epoch"] else "pretrained"
    trained = f"loss {row['loss']:.4f}, {row['active_negatives']:.0%} of negatives active; " if "loss" in row else ""
    return (
        f"{head}: {trained}validation AUC {row['val_auc']:.4f}, EER {row['val_eer']:.4f}, "
        f"mean cosine {row['mean_cosine']:.2f}, effective rank {row['effective_rank']:.1f}"
    )


def warnings(row: dict[str, float], collapse: Collapse) -> list[str]:
    """What goes wrong while there is time to stop: a collapsing space, or nothing left that pushes apart."""
    found = []
    if collapse.collapsed:
        found.append(
            f"The embedding space is collapsing: {collapse.reason}. Lower the learning rate or raise the margin."
        )
    if row.get("active_negatives") == 0:
        found.append("No negative pair is pushed apart any more: raise the margin, or stop here.")
    return found


def final_table(before: dict[str, float], metadata: dict[str, Any]) -> Table:
    """Validation before training and of the best checkpoint, each at the threshold that its validation chose.

    In a run with a fixed `threshold` accuracy is stated at that distance instead.
    """
    after, alpha, epoch = metadata["metrics"], metadata["wise_ft_alpha"], metadata["epoch"]
    blend = "" if alpha is None else f", {alpha:.1f} fine-tuned + {1 - alpha:.1f} pretrained weights"
    unchanged = " (training did not improve on them)" if epoch == 0 or alpha == 0 else ""
    rows = {"AUC": "val_auc", "EER": "val_eer"}
    if "val_accuracy" in after:
        rows[f"accuracy at distance {metadata['config']['threshold']:g}"] = "val_accuracy"
    else:
        rows["accuracy at the threshold"] = "val_accuracy_at_threshold"
    table = Table("validation", "pretrained", "best", title=f"best: epoch {epoch}{blend}{unchanged}")
    for label, name in (rows | {"loss": "val_loss"}).items():
        table.add_row(label, f"{before[name]:.4f}", f"{after[name]:.4f}")
    chosen = f"{before['val_threshold']:.4f}" if "val_threshold" in before else ""
    table.add_row("threshold (best F1)", chosen, f"{metadata['threshold']['value']:.4f}")
    return table
