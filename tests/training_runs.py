"""Small training runs: a collection that is learnt in seconds, and runs of it in processes of their own."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import train
from config import TrainConfig
from siamclip.models import checkpoint
from siamclip.training.run import state as training_state

# The server imports torch and what train.py needs once; its children start at once, without this process's threads.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([
    "train", "dataset", "accelerate.utils", "torch.utils.tensorboard", "siamclip.training.images.training_set",
    "siamclip.training.run.run_checkpoints", "siamclip.training.images.mixing", "siamclip.evaluation.report.plots",
    __name__,
])  # fmt: skip


def noisy_squares(root: Path, identities: int = 12, photos: int = 4, side: int = 64) -> Path:
    """An identity is a checkerboard of 4 x 4 random colours; its photos differ by noise and brightness."""
    rng = np.random.default_rng(0)
    for identity in range(identities):
        board = np.kron(rng.integers(0, 256, (4, 4, 3)), np.ones((side // 4, side // 4, 1)))
        folder = root / f"京A{identity:05}"
        folder.mkdir(parents=True)
        for photo in range(photos):
            noisy = board * rng.uniform(0.5, 1.5) + rng.normal(0, 40, board.shape)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{photo}.png")
    return root


def settings(data: Path, out: Path, **changed: Any) -> TrainConfig:
    """Two epochs of four steps."""
    values: dict[str, Any] = {
        "data_dir": str(data),
        "checkpoint_dir": str(out / "checkpoints"),
        "log_dir": str(out / "logs"),
        "run_name": "run",
        "model": "efficientnet-lite0",
        "image_size": 64,
        "num_epochs": 2,
        "batch_size": 8,
        "samples_per_class": 4,
        "learning_rate": 1e-3,
        "margin": 1.2,
        "num_workers": 2,
        "device": "cpu",
    }
    return TrainConfig(**{**values, **changed})


def weights(folder: Path) -> dict[str, Any]:
    return checkpoint.read_tensors(folder, checkpoint.read_metadata(folder), "weights")


def start(config: TrainConfig, kill_at: int | None = None) -> BaseProcess:
    """The run in a process of its own, which kill -9 ends at its event number `kill_at`."""
    process = SERVER.Process(target=_run, args=(config, kill_at))
    process.start()
    return process


def _run(config: TrainConfig, kill_at: int | None) -> None:
    import torch

    torch.set_num_threads(1)  # the tests that run beside this one need the other cores
    events = itertools.count()

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if next(events) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*arguments)
            if next(events) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    # Before and after every step, every validation, every checkpoint and every single file of one.
    for owner, name in (
        (checkpoint, "write_atomically"),
        (checkpoint, "save"),
        (training_state.TrainingState, "save"),
        (train.Training, "_optimizer_step"),
        (train.Training, "_validate"),
    ):
        setattr(owner, name, counted(getattr(owner, name)))
    train.train(config)
