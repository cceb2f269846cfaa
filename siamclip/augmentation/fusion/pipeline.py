"""Pairs of photos become fused images: invert, blend, generate, gate, hand over.

Memory holds some batches, whatever the number of pairs: see noise_maps.py. Batches always have the same size (the last
image is repeated where there are fewer), so that no number of an image depends on which others were made with it, or
on whether a run was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from siamclip.augmentation.contracts import FusionPair, MadeImage, soft_label
from siamclip.augmentation.fusion.blend import blend
from siamclip.augmentation.fusion.noise_maps import Inverted, NoiseMaps
from siamclip.augmentation.method_table import MODES
from siamclip.augmentation.square_photos import ReadsSquares, stretched
from siamclip.data.plate_names import identity_of
from siamclip.diffusion.ddpm_inversion import generate, steps_of_slots
from siamclip.errors import UserError
from siamclip.methods import effective, load_target

if TYPE_CHECKING:
    from siamclip.augmentation.fusion.gate import Gate
    from siamclip.augmentation.fusion.sampling import DiffusionSampler
    from siamclip.augmentation.method_table import Mode

Sink = Callable[[list[tuple[MadeImage, np.ndarray]]], object]


@dataclass(frozen=True)
class FusionMode:
    """`weight(first, second, ratio, level, **settings)`: see method_table.MODES."""

    name: str
    weight: Callable[..., torch.Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FusionSummary:
    made: int  # images handed to the sink
    rejected: int  # of these
    inverted: int  # photos
    from_cache: int  # photos whose noise maps were read
    unreadable: dict[str, str]  # photo -> reason
    skipped: list[FusionPair]  # for an unreadable photo
    seconds: float


@dataclass(frozen=True)
class _Job:
    path: str
    pair: FusionPair
    mode: FusionMode
    first: Inverted
    second: Inverted


def choose_modes(names: Sequence[str], assignments: Sequence[str]) -> list[FusionMode]:
    """Modes by name, with commas or one by one, and settings as `mode.setting=value`.

    Raises UserError for names that are none, settings that cannot be, and settings of a mode that is not among them.
    """
    modes = MODES.chosen(names, "fusion_modes")
    settings = effective(modes, MODES.parse(assignments))
    for text in assignments:
        if text.partition(".")[0].strip() not in {mode.name for mode in modes}:
            problem = "this mode is not among `fusion_modes`"
            raise UserError("set", problem, "add it, or leave the setting out", text)
    return load_modes(modes, settings)


def load_modes(modes: Iterable[Mode], settings: Mapping[str, Mapping[str, Any]]) -> list[FusionMode]:
    """`settings`: mode -> all its settings, as methods.effective gives them. Raises UserError for those that a
    mode refuses."""
    loaded = [FusionMode(mode.name, load_target(mode.target), settings.get(mode.name, {})) for mode in modes]
    stack, level = torch.zeros(1, 2, 1, 1, 1), torch.tensor([1.0, 0.5])
    for mode in loaded:
        mode.weight(stack, stack, 0.5, level, **mode.settings)
    return loaded


def fuse_pairs(
    pairs: Sequence[FusionPair],
    modes: Sequence[FusionMode],
    photos: ReadsSquares,
    sampler: DiffusionSampler,
    sink: Sink,
    *,
    done: Container[str] = frozenset(),
    gate: Gate | None = None,
    progress: Callable[[str, int, int], object] = lambda stage, number, total: None,
) -> FusionSummary:
    """Make an image of each pair and mode and hand them to `sink`, some at a time: (row, uint8 (H, W, 3) RGB) each.

    An image's path is `<name>.<mode>.png`, with the name of its pair; those in `done` are left out. Without a `gate`
    every image is kept, without scores. `progress` gets (stage, done, total).

    An image is the model's square; where `squash` made the photos squares, it is stretched back to the first photo's
    shape along the longer side (bicubic), so that it looks like the photos, and squashed again it is the same square
    but for that resampling.

    Pairs of an unreadable photo are skipped and listed. Raises UserError for too many steps, and for a network whose
    answer is not finite: what the sink got before stays.
    """
    started = time.monotonic()
    # Pairs that share photos come together; those of one identity do.
    work = sorted(pairs, key=lambda pair: (identity_of(pair.first), pair.first, pair.name))
    work = [pair for pair in work if any(f"{pair.name}.{mode.name}.png" not in done for mode in modes)]
    order = [path for pair in work for path in (pair.first, pair.second)]
    total_photos = len({photos.hashes[path] for path in order})
    maps = NoiseMaps(sampler, photos, order, _Counter("photos inverted", total_photos, progress))
    total = sum(f"{pair.name}.{mode.name}.png" not in done for pair in work for mode in modes)
    generator = _Generator(sampler, sink, gate, _Counter("images fused", total, progress))
    skipped = []
    try:
        for pair in work:
            first, second = maps.get(pair.first), maps.get(pair.second)
            if first is None or second is None:
                skipped.append(pair)
                continue
            for mode in modes:
                path = f"{pair.name}.{mode.name}.png"
                if path not in done:
                    generator.add(_Job(path, pair, mode, first, second))
        generator.flush()
    except FloatingPointError as error:
        remedy = "use `denoiser_precision` fp32, or another model; "
        remedy += f"{generator.made:,} images were made before and stay"
        raise UserError("diffusion", str(error), remedy, sampler.denoiser.name) from error
    unreadable, seconds = dict(sorted(maps.unreadable.items())), time.monotonic() - started
    counts = (generator.made, generator.rejected, maps.inverted, maps.from_cache)
    return FusionSummary(*counts, unreadable, skipped, seconds)


class _Generator:
    """Collects jobs until they fill a batch, and makes their images."""

    def __init__(
        self,
        sampler: DiffusionSampler,
        sink: Sink,
        gate: Gate | None,
        advance: Callable[[int], None],
    ) -> None:
        self.made = self.rejected = 0
        self._denoiser, self._settings, self._batch_size = sampler.denoiser, sampler.settings, sampler.batch_size
        self._sink, self._gate, self._advance = sink, gate, advance
        self._schedule = sampler.schedule
        steps = self._settings.steps
        self._level = (steps_of_slots(steps, self._settings.skip) / steps).to(sampler.device)
        self._jobs: list[_Job] = []

    def add(self, job: _Job) -> None:
        self._jobs.append(job)
        if len(self._jobs) == self._batch_size:
            self.flush()

    def flush(self) -> None:
        jobs, self._jobs = self._jobs, []
        if not jobs:
            return
        fused, shares = self._fused(jobs)
        x_0 = generate(self._denoiser.predict, fused, self._schedule)
        squares = self._denoiser.decode(x_0)[: len(jobs)]
        reasons, scores = [""] * len(jobs), [dict[str, float]()] * len(jobs)
        if self._gate is not None:
            firsts, seconds = (np.stack([photo.photo for photo in side]) for side in _sides(jobs))
            verdicts = self._gate.verdicts(squares, firsts, seconds)
            reasons, scores = [verdict.reason for verdict in verdicts], [dict(verdict.scores) for verdict in verdicts]
        rows = [
            (self._row(job, share, reason, score), self._shaped(square, job.first.size))
            for job, square, share, reason, score in zip(jobs, squares, shares, reasons, scores, strict=True)
        ]
        self._sink(rows)
        self.made += len(rows)
        self.rejected += sum(bool(reason) for reason in reasons)
        self._advance(len(rows))

    @torch.inference_mode()
    def _fused(self, jobs: Sequence[_Job]) -> tuple[torch.Tensor, list[float]]:
        """The stacks (batch_size, S, C, h, w), and each one's share of the first photo."""
        stack = jobs[0].first.stack
        fused, shares = stack.new_empty((self._batch_size, *stack.shape)), []
        for i, job in enumerate(jobs):
            first, second = job.first.stack[None], job.second.stack[None]
            weight = job.mode.weight(first, second, self._settings.ratio, self._level, **job.mode.settings)
            fused[i] = blend(first, second, weight, self._settings.keep_variance)[0]
            shares.append(float(weight.double().mean()))
        fused[len(jobs) :] = fused[len(jobs) - 1]
        return fused, shares

    def _row(self, job: _Job, share: float, reason: str, scores: Mapping[str, float]) -> MadeImage:
        return MadeImage(
            path=job.path,
            method=job.mode.name,
            first=job.pair.first,
            second=job.pair.second,
            ratio=share,
            similarity=job.pair.similarity,
            soft_label=soft_label(identity_of(job.pair.first), identity_of(job.pair.second), share),
            seed=self._settings.seed,
            model=self._denoiser.name,
            rejected=reason,
            scores=scores,
            settings={name: value for name, value in asdict(self._settings).items() if name != "seed"}
            | dict(job.mode.settings),
        )

    def _shaped(self, square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return stretched(square, size) if self._settings.geometry == "squash" else square


class _Counter:
    """What an `advance` counts, reported as (stage, done, total)."""

    def __init__(self, stage: str, total: int, progress: Callable[[str, int, int], object]) -> None:
        self._stage, self._total, self._progress, self._done = stage, total, progress, 0

    def __call__(self, number: int) -> None:
        self._done += number
        self._progress(self._stage, min(self._done, self._total), self._total)


def _sides(jobs: Sequence[_Job]) -> tuple[list[Inverted], list[Inverted]]:
    return [job.first for job in jobs], [job.second for job in jobs]
