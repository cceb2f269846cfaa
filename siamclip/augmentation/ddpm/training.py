"""Train a diffusion model of pixels to tell the noise in a photo (Ho et al. 2020, arXiv:2006.11239, algorithm 1)."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from rich.console import Console
from rich.text import Text

from siamclip.augmentation.ddpm.network import (
    check_compiler,
    choose_precision,
    load_network,
    make_scheduler,
    make_unet,
)
from siamclip.augmentation.ddpm.output import (
    SAMPLES,
    SKIPPED,
    as_grid,
    draw,
    write_pipeline,
    write_png,
    write_skipped,
    writing,
)
from siamclip.augmentation.ddpm.photos import TrainingPhotos, as_pixels, batches
from siamclip.augmentation.ddpm.settings import DdpmSettings
from siamclip.augmentation.ddpm.state import DdpmState
from siamclip.bars import Bars
from siamclip.embedding.embedder import choose_device
from siamclip.errors import UserError, printable
from siamclip.memory import reuse_large_buffers
from siamclip.optimisation import learning_rate_factor, make_accelerator
from siamclip.photos import PhotoLoader
from siamclip.preprocess import Preprocessing
from siamclip.progress import duration

LOG_EVERY = 10  # optimiser steps between points of the curves
SECONDS_BETWEEN_LINES = 60  # where there is no terminal for a bar
SHOWN = 10  # photos that cannot be read, by name; skipped.csv holds them all


class DdpmTraining:
    """`config`: the settings as the user gave them, which a continuation takes up."""

    def __init__(
        self,
        photos: TrainingPhotos,
        out: Path,
        settings: DdpmSettings,
        config: Mapping[str, Any],
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        """`saved`: the metadata of a training that goes on. Raises UserError."""
        reuse_large_buffers()
        self.photos, self.out, self.settings, self.config = photos, out, settings, config
        torch.manual_seed(settings.seed)
        device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, device)
        if settings.compile:
            check_compiler(device)
        unet, self.scheduler = self._network(saved)
        self.preprocessing = Preprocessing(unet.config.sample_size, geometry=settings.geometry)
        self.accelerator = make_accelerator(device, self.precision)
        self.console = Console(highlight=False, quiet=not self.accelerator.is_main_process)
        unet = unet.to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(unet.parameters(), lr=settings.learning_rate)
        ema = EMAModel(unet.parameters(), decay=settings.ema_decay, foreach=True)
        self.model, self.optimizer = self.accelerator.prepare(unet, optimizer)
        # The compiled network shares its weights with `unet`, which is what is saved.
        self.network = torch.compile(self.model) if settings.compile else self.model
        self.state = DdpmState(unet, ema, self.optimizer, self.accelerator.scaler)
        self.interrupted, self.unreadable = False, 0

    def _network(self, saved: Mapping[str, Any] | None) -> tuple[UNet2DModel, DDPMScheduler]:
        settings = self.settings
        if saved is not None:
            return UNet2DModel.from_config(saved["unet"]), DDPMScheduler.from_config(saved["scheduler"])
        if settings.init_from is not None:
            return load_network(settings.init_from, settings.image_size)
        scheduler = make_scheduler(settings.train_timesteps, settings.noise_schedule)
        return make_unet(settings.architecture, settings.image_size), scheduler

    # -- the loop ---------------------------------------------------------------------------------------------

    def __call__(self) -> None:
        """Train until the last step. Ctrl-C saves after the step under way and raises KeyboardInterrupt."""
        from torch.utils.tensorboard import SummaryWriter

        settings, state = self.settings, self.state
        self._introduce()
        if state.step >= settings.num_steps:
            return
        if state.step == 0:
            self._save()  # a folder that cannot be written shows now, not after the first hour
        with writing(self.out):
            self.board = SummaryWriter(str(self.out / "logs"), purge_step=state.step + 1)
        loader = PhotoLoader(
            self.photos.files,
            lambda file, _: self.preprocessing.load(file),
            settings.num_workers,
            int(settings.cache_gb * 2**30),
        )
        with loader, Bars(self.console) as bars, self._finishing_the_step():
            self._train(loader, bars)
        self.board.close()
        self._save()
        self._say(f"{self.out}: a diffusers DDPMPipeline; to fuse photos with it: --diffusion {self.out}")

    def _train(self, loader: PhotoLoader, bars: Bars) -> None:
        settings, state = self.settings, self.state
        task = bars.add_task("train", total=settings.num_steps, completed=state.step)
        indices = batches(len(self.photos.files), settings.batch_size, settings.seed, state.step, settings.num_steps)
        first, started = state.step, time.monotonic()
        last_save = last_line = started
        losses: list[float] = []
        self.model.train()
        for photos, unreadable in loader.stream(indices):
            if unreadable.any():
                self._tell_unreadable(loader)
            if len(photos):
                losses.append(self._step(photos))
            state.step += 1
            now = time.monotonic()
            rate = (state.step - first) / (now - started)
            if state.step % LOG_EVERY == 0 and losses:
                mean = sum(losses) / len(losses)
                self.board.add_scalar("loss", mean, state.step)
                self.board.add_scalar("learning_rate", self._learning_rate(state.step - 1), state.step)
                line = f"loss {mean:.4f}, {rate * settings.batch_size:.1f} photos/s"
                bars.update(task, description=line)
                if bars.disable and now - last_line > SECONDS_BETWEEN_LINES:
                    last_line = now
                    left = duration((settings.num_steps - state.step) / rate)
                    self._say(f"step {state.step:,}/{settings.num_steps:,}: {line}, {left} left")
                losses = []
            bars.update(task, completed=state.step)
            if self._samples_are_due():
                self._sample()
            if self.interrupted or now - last_save > 60 * settings.save_every_minutes:
                self._save()
                last_save = now
            if self.interrupted:
                raise KeyboardInterrupt

    def _step(self, photos: np.ndarray) -> float:
        """One optimiser step on uint8 (R, S, S, 3); returns its loss. Raises UserError if it is not finite."""
        settings, step = self.settings, self.state.step
        # Each step draws from a seed of its own: a training that goes on draws the same.
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, step]).generate_state(1)[0]))
        pixels = as_pixels(photos, settings.batch_size, settings.flip)
        noise = torch.randn(pixels.shape).contiguous(memory_format=torch.channels_last)
        timesteps = torch.randint(self.scheduler.config.num_train_timesteps, (len(pixels),))
        device = self.accelerator.device
        noise, timesteps = noise.to(device), timesteps.to(device)
        noisy = self.scheduler.add_noise(pixels.to(device), noise, timesteps)
        with torch.autocast(device.type, self.precision) if self.precision else nullcontext():
            predicted = self.network(noisy, timesteps, return_dict=False)[0]
        loss = torch.nn.functional.mse_loss(predicted.float(), noise)
        if not torch.isfinite(loss):
            raise self._diverged(f"the loss became {loss.item()}")
        self.accelerator.backward(loss)
        if settings.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.state.ema.step(self.state.unet.parameters())
        return loss.item()

    def _learning_rate(self, step: int) -> float:
        settings = self.settings
        factor = learning_rate_factor(step, settings.warmup_steps, settings.num_steps, "cosine")
        return settings.learning_rate * factor

    def _diverged(self, what: str) -> UserError:
        return UserError(
            f"--learning_rate {self.settings.learning_rate:g}: {what} at step {self.state.step + 1}; lower it, or set "
            f"--precision fp32. What was saved last in {self.out} is whole"
        )

    @contextmanager
    def _finishing_the_step(self) -> Iterator[None]:
        """Ctrl-C is heeded between two steps, so that what is saved is whole; a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may say what a signal does
            return

        def remember(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, before)
            self.interrupted = True

        before = signal.signal(signal.SIGINT, remember)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # -- what it says and keeps -------------------------------------------------------------------------------

    def _introduce(self) -> None:
        settings, size = self.settings, self.preprocessing.size
        weights = sum(p.numel() for p in self.state.unet.parameters()) / 1e6
        precision = str(self.precision or torch.float32).removeprefix("torch.")
        self._say(
            f"{len(self.photos.files):,} photos of {self.photos.root}, {settings.geometry} to {size} x {size}; "
            f"{weights:.1f} million weights in {precision} on {self.accelerator.device}"
        )
        if self.state.step >= settings.num_steps:
            self._say(f"{self.out}: its {self.state.step:,} steps are done, nothing is left to train")
        elif self.state.step:
            self._say(f"goes on after step {self.state.step:,} of {settings.num_steps:,}")

    def _say(self, *lines: str) -> None:
        for line in lines:
            self.console.print(Text(printable(line)), soft_wrap=True)

    def _tell_unreadable(self, loader: PhotoLoader) -> None:
        """Each photo that cannot be read is told once. Raises UserError if none is left."""
        failures = dict(loader.failures)
        names = {index: str(self.photos.files[index]) for index in failures}
        if len(failures) == len(self.photos.files):
            index = min(failures)
            raise UserError(f"--data {self.photos.root}: no photo can be read; {names[index]}: {failures[index]}")
        for index in list(failures)[self.unreadable : SHOWN]:
            self._say(f"left out: {names[index]} ({failures[index]})")
        if self.unreadable <= SHOWN < len(failures):
            self._say(f"left out: more photos, see {self.out / SKIPPED}")
        self.unreadable = len(failures)
        with writing(self.out):
            write_skipped(self.out, [(names[index], reason) for index, reason in failures.items()])

    def _samples_are_due(self) -> bool:
        every, step = self.settings.sample_every, self.state.step
        return bool(every) and (step % every == 0 or step == self.settings.num_steps)

    def _sample(self) -> None:
        """Images drawn from the averaged weights, always from the same noise."""
        state, step = self.state, self.state.step
        state.ema.store(state.unet.parameters())
        state.ema.copy_to(state.unet.parameters())
        state.unet.eval()
        grid = as_grid(draw(state.unet, self.scheduler, SAMPLES, self.settings.seed, self.precision))
        state.ema.restore(state.unet.parameters())
        state.unet.train()
        with writing(self.out):
            write_png(self.out / "samples" / f"step-{step:06d}.png", grid)
            self.board.add_image("samples", grid, step, dataformats="HWC")

    def _save(self) -> None:
        state, settings = self.state, self.settings
        if not all(torch.isfinite(p).all() for p in state.unet.parameters()):
            raise self._diverged("the weights are no longer finite")
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        known = {
            "created": created,
            "photos": len(self.photos.files),
            "fingerprint": self.photos.fingerprint,
            "preprocessing": self.preprocessing.to_dict(),
            "num_steps": settings.num_steps,
            "config": dict(self.config),
        }
        networks = {"unet": dict(state.unet.config), "scheduler": dict(self.scheduler.config)}
        state.save(self.out, known | networks)
        provenance = known | {"steps": state.step, "photos_seen": state.step * settings.batch_size}
        write_pipeline(self.out, state.unet, state.ema, self.scheduler, settings.half, provenance)
