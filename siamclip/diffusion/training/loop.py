"""The training of a diffusion model of pixels: steps, averages, samples, saves."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.training_utils import EMAModel
from rich.console import Console
from rich.text import Text

from siamclip.cli.console import with_flags
from siamclip.cli.progress_bars import Bars
from siamclip.data.image.preprocess import Preprocessing
from siamclip.data.loader import PhotoLoader
from siamclip.device import choose_device, device_precision, make_accelerator, reuse_large_buffers
from siamclip.diffusion.training.architecture import (
    check_compiler,
    compile_network,
    load_network,
    make_scheduler,
    make_unet,
)
from siamclip.diffusion.training.objective import noise_loss
from siamclip.diffusion.training.photos import PhotoFiles, as_pixels, batches
from siamclip.diffusion.training.run import output
from siamclip.diffusion.training.run.interruption import Interruption
from siamclip.diffusion.training.run.meter import Meter
from siamclip.diffusion.training.run.output import public_config
from siamclip.diffusion.training.run.state import DdpmState
from siamclip.diffusion.training.settings import MAY_CHANGE, DdpmSettings
from siamclip.errors import UserError, printable
from siamclip.learning_rate import learning_rate_factor

LOG_EVERY = 10  # optimiser steps between points of the curves
SHOWN = 10  # photos that cannot be read, by name; skipped.csv holds them all


class DdpmTraining:
    """`config`: the settings as the user gave them, which a continuation takes up."""

    def __init__(
        self,
        photos: PhotoFiles,
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
        self.precision = device_precision(settings.precision, device)
        if settings.compile:
            check_compiler(device)
        self.accelerator = make_accelerator(device, self.precision)
        self.console = Console(highlight=False, quiet=not self.accelerator.is_main_process)
        unet, self.scheduler = self._network(saved)
        self.preprocessing = Preprocessing(unet.config["sample_size"], geometry=settings.geometry)
        unet = unet.to(self.accelerator.device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(unet.parameters(), lr=settings.learning_rate)
        ema = EMAModel(unet.parameters(), decay=settings.ema_decay, foreach=True)
        self.model, self.optimizer = self.accelerator.prepare(unet, optimizer)
        # The compiled network shares its weights with `unet`, which is what is saved.
        self.network = compile_network(self.model) if settings.compile else self.model
        self.state = DdpmState(unet, ema, self.optimizer, self.accelerator.scaler)
        self.saved_step: int | None = None
        self._unreadable = 0

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
        self._say_what_is_trained()
        # Before the first step: a folder that cannot be written shows now, not after an hour. After the last: a kill
        # may have come between the state and the model.
        self._save()
        if state.step < settings.num_steps:
            loader = PhotoLoader(
                self.photos.files,
                lambda file, _: self.preprocessing.load(file),
                settings.num_workers,
                int(settings.cache_gb * 2**30),
            )
            with output.explain_write_errors(self.out):
                self.board = SummaryWriter(str(self.out / "logs"), purge_step=state.step + 1) if self._is_main else None
            try:
                with loader, Bars(self.console) as bars, Interruption() as interruption:
                    self._train(loader, bars, interruption)
            finally:
                self._close_board()
            self._save()
        self.say(
            f"{self.out}: a diffusers DDPMPipeline; to fuse photos with it: {with_flags('`diffusion`')} {self.out}"
        )

    def _train(self, loader: PhotoLoader, bars: Bars, interruption: Interruption) -> None:
        settings, state = self.settings, self.state
        meter = Meter(bars, self.settings.num_steps, state.step, self.photos_per_step)
        last_save = time.monotonic()
        self.model.train()
        for photos, unreadable in loader.stream(self._batches()):
            if unreadable.any():
                self._report_unreadable(loader)
            loss = self._step(photos)
            state.step += 1
            line = meter.advance(loss)
            if line is not None:
                self.say(line)
            if state.step % LOG_EVERY == 0:
                self._log(meter.take_loss())
            if settings.sample_every and (state.step % settings.sample_every == 0 or state.step == settings.num_steps):
                self._sample()
            if interruption.heard or time.monotonic() - last_save > 60 * settings.save_every_minutes:
                self._save()
                last_save = time.monotonic()
            if interruption.heard:
                raise KeyboardInterrupt

    def _step(self, photos: np.ndarray) -> float | None:
        """One optimiser step on uint8 (R, S, S, 3); its loss, or None where no photo of it can be read.

        Raises UserError if the loss is not finite.
        """
        settings, state, accelerator = self.settings, self.state, self.accelerator
        if not len(photos) and accelerator.num_processes == 1:
            return None
        # Each step draws from a seed of its own: a training that goes on draws the same.
        seeds = [settings.seed, state.step] + [accelerator.process_index] * (accelerator.num_processes > 1)
        torch.manual_seed(int(np.random.SeedSequence(seeds).generate_state(1)[0]))
        weight = 1.0
        if not len(photos):  # the other processes wait for this one's share, which is nothing
            photos, weight = np.zeros((1, *[self.preprocessing.size] * 2, 3), np.uint8), 0.0
        pixels = as_pixels(photos, settings.batch_size, settings.flip).to(accelerator.device)
        loss = noise_loss(self.network, self.scheduler, pixels, self.precision)
        if not torch.isfinite(loss):
            raise self._diverged(f"the loss became {loss.item()}")
        accelerator.backward(loss * weight)
        if settings.clip_norm:
            accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(state.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.ema.step(state.unet.parameters())
        return loss.item() if weight else None

    def _batches(self) -> Iterator[np.ndarray]:
        """This process's share of each step that is left to do."""
        settings, accelerator = self.settings, self.accelerator
        mine = slice(accelerator.process_index, None, accelerator.num_processes)
        steps = batches(
            len(self.photos.files), self.photos_per_step, settings.seed, self.state.step, settings.num_steps
        )
        return (indices[mine] for indices in steps)

    @property
    def photos_per_step(self) -> int:
        return self.settings.batch_size * self.accelerator.num_processes

    @property
    def _is_main(self) -> bool:
        return self.accelerator.is_main_process

    def _learning_rate(self, step: int) -> float:
        settings = self.settings
        factor = learning_rate_factor(step, settings.warmup_steps, settings.num_steps, "cosine")
        return settings.learning_rate * factor

    def _diverged(self, what: str) -> UserError:
        return UserError(
            "learning_rate",
            f"{what} at step {self.state.step + 1}",
            f"lower it, or set `precision` fp32; {self.out} holds what was saved last",
            f"{self.settings.learning_rate:g}",
        )

    # -- what it says and keeps -------------------------------------------------------------------------------

    def _say_what_is_trained(self) -> None:
        settings, step, size = self.settings, self.state.step, self.preprocessing.size
        weights = sum(p.numel() for p in self.state.unet.parameters()) / 1e6
        precision = str(self.precision or torch.float32).removeprefix("torch.")
        self.say(
            f"{len(self.photos.files):,} photos in {self.photos.root}, {settings.geometry} to {size} x {size}; "
            f"{weights:.3g} million weights in {precision} on {self.accelerator.device}"
        )
        if step >= settings.num_steps:
            self.say(f"{self.out}: its {step:,} steps are done, nothing is left to train")
        elif step:
            self.say(f"goes on after step {step:,} of {settings.num_steps:,}")

    def say(self, *lines: str) -> None:
        for line in lines:
            self.console.print(Text(printable(line)), soft_wrap=True)

    def _report_unreadable(self, loader: PhotoLoader) -> None:
        """Each photo that cannot be read is told once. Raises UserError if none is left."""
        failures = list(loader.failures.items())  # at once: the threads that decode add to it
        if len(failures) == len(self.photos.files):
            index, reason = min(failures)
            raise UserError(
                "data",
                f"no photo can be read, such as {self.photos.files[index]} ({reason})",
                "check the folder",
                self.photos.root,
            )
        new = [(str(self.photos.files[index]), reason) for index, reason in failures[self._unreadable :]]
        told, self._unreadable = self._unreadable, len(failures)
        if not new or not self._is_main:
            return
        self.say(*(f"left out: {path} ({reason})" for path, reason in new[: max(0, SHOWN - told)]))
        if told <= SHOWN < len(failures):
            self.say(f"left out: more photos, see {self.out / output.SKIPPED}")
        with output.explain_write_errors(self.out):
            output.write_skipped(self.out, [(str(self.photos.files[index]), reason) for index, reason in failures])

    def _log(self, loss: float | None) -> None:
        if self.board is None or loss is None:
            return
        with output.explain_write_errors(self.out):
            self.board.add_scalar("loss", loss, self.state.step)
            self.board.add_scalar("learning_rate", self._learning_rate(self.state.step - 1), self.state.step)

    def _close_board(self) -> None:
        if self.board is not None:
            with output.explain_write_errors(self.out):
                self.board.close()

    def _sample(self) -> None:
        """Images drawn from the averaged weights, always from the same noise."""
        if self.board is None:
            return
        state, settings = self.state, self.settings
        grid = output.as_grid(
            output.sample_images(state.averaged(), self.scheduler, settings.seed, precision=self.precision)
        )
        with output.explain_write_errors(self.out):
            output.write_png(self.out / "samples" / f"step-{state.step:06d}.png", grid)
            self.board.add_image("samples", grid, state.step, dataformats="HWC")

    def _save(self) -> None:
        """The state, and the model with where it comes from; in the main process."""
        state, config = self.state, dict(self.config)
        if not self._is_main:
            return
        if not all(torch.isfinite(p).all() for p in state.unet.parameters()):
            raise self._diverged("the weights are no longer finite")
        known = {
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "photos": len(self.photos.files),
            "preprocessing": self.preprocessing.to_dict(),
            "processes": self.accelerator.num_processes,
        }
        kept = {"fingerprint": self.photos.fingerprint, "config": config}
        networks = {"unet": public_config(state.unet.config), "scheduler": public_config(self.scheduler.config)}
        state.save(self.out, known | kept | networks)
        seen = {"steps": state.step, "photos_seen": state.step * self.photos_per_step}
        told = {name: value for name, value in config.items() if name not in MAY_CHANGE}
        output.write_pipeline(
            self.out, state.averaged(), self.scheduler, self.settings.half, known | seen | {"settings": told}
        )
        self.saved_step = state.step
