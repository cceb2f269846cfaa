"""Pairs of photos become fused images: invert, blend, generate, judge, hand over.

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
from siamclip.augmentation.squares import Read, stretched
from siamclip.data.identities import identity_of
from siamclip.diffusion.noise_space import generate, steps_of_slots
from siamclip.errors import UserError
from siamclip.methods import load_target

if TYPE_CHECKING:
    from siamclip.augmentation.fusion.gate import Gate
    from siamclip.augmentation.fusion.noise_cache import NoiseCache
    from siamclip.augmentation.method_table import Mode
    from siamclip.diffusion.denoisers.contract import Denoiser

Sink = Callable[[list[tuple[MadeImage, np.ndarray]]], object]


@dataclass(frozen=True)
class FusionMode:
    """`weight(first, second, ratio, level, **settings)`: see method_table.MODES."""

    name: str
    weight: Callable[..., torch.Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SamplerSettings:
    """What the fused images depend on, beside photos, model and mode."""

    steps: int = 50
    skip: int = 0
    eta: float = 1.0
    seed: int = 42
    ratio: float = 0.5
    keep_variance: bool = True
    geometry: str = "squash"  # how `read` makes a photo the model's square


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
    denoiser: Denoiser,
    sink: Sink,
    *,
    read: Read,
    hashes: Mapping[str, str],
    sampler: SamplerSettings,
    batch_size: int,
    device: torch.device,
    names: Sequence[str] | None = None,
    done: Container[str] = frozenset(),
    cache: NoiseCache | None = None,
    gate: Gate | None = None,
    progress: Callable[[str, int, int], object] = lambda stage, number, total: None,
) -> FusionSummary:
    """Make an image of each pair and mode and hand them to `sink`, some at a time: (row, uint8 (H, W, 3) RGB) each.

    `read`: a photo's path -> its square and its size. `hashes`: path -> content hash, of every photo in a pair.
    `device`: the denoiser's. `names`: one a pair; an image's path is `<name>.<mode>.png`, and those in `done` are left
    out. Without a `gate` every image is kept, without scores. `progress` gets (stage, done, total).

    An image is the model's square; where `squash` made the photos squares, it is stretched back to the first photo's
    shape along the longer side (bicubic), so that it looks like the photos, and squashed again it is the same square
    but for that resampling.

    Pairs of an unreadable photo are skipped and listed. Raises UserError for too many steps, and for a network whose
    answer is not finite: what the sink got before stays.
    """
    started = time.monotonic()
    if sampler.skip >= sampler.steps:
        raise UserError(f"--skip {sampler.skip}: must be below --steps {sampler.steps}; with it no step is left")
    names = [f"{pair.first}+{pair.second}" for pair in pairs] if names is None else names
    # Pairs that share photos come together; those of one identity do.
    work = sorted(zip(pairs, names, strict=True), key=lambda item: (identity_of(item[0].first), item[0].first, item[1]))
    work = [(pair, name) for pair, name in work if any(f"{name}.{mode.name}.png" not in done for mode in modes)]
    total_photos = len({hashes[path] for pair, _ in work for path in (pair.first, pair.second)})
    ready = _Counter("photos inverted", total_photos, progress)
    maps = NoiseMaps(
        denoiser,
        denoiser.schedule(sampler.steps, sampler.eta),
        sampler.skip,
        eta=sampler.eta,
        seed=sampler.seed,
        geometry=sampler.geometry,
        read=read,
        hashes=hashes,
        order=[path for pair, _ in work for path in (pair.first, pair.second)],
        batch_size=batch_size,
        device=device,
        cache=cache,
        advance=ready,
    )
    total = sum(f"{name}.{mode.name}.png" not in done for _, name in work for mode in modes)
    generator = _Generator(denoiser, sampler, batch_size, device, sink, gate, _Counter("images fused", total, progress))
    skipped = []
    try:
        for pair, name in work:
            first, second = maps.get(pair.first), maps.get(pair.second)
            if first is None or second is None:
                skipped.append(pair)
                continue
            for mode in modes:
                path = f"{name}.{mode.name}.png"
                if path not in done:
                    generator.add(_Job(path, pair, mode, first, second))
        generator.flush()
    except FloatingPointError as error:
        raise UserError(
            f"--diffusion {denoiser.name}: {error}; use --denoiser_precision fp32, or another model; "
            f"{generator.made:,} images were made before and stay"
        ) from error
    unreadable, seconds = dict(sorted(maps.unreadable.items())), time.monotonic() - started
    counts = (generator.made, generator.rejected, maps.inverted, maps.from_cache)
    return FusionSummary(*counts, unreadable, skipped, seconds)


class _Generator:
    """Collects jobs until they fill a batch, and makes their images."""

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: SamplerSettings,
        batch_size: int,
        device: torch.device,
        sink: Sink,
        gate: Gate | None,
        advance: Callable[[int], None],
    ) -> None:
        self.made = self.rejected = 0
        self._denoiser, self._sampler, self._batch_size = denoiser, sampler, batch_size
        self._sink, self._gate, self._advance = sink, gate, advance
        self._schedule = denoiser.schedule(sampler.steps, sampler.eta)
        self._level = (steps_of_slots(sampler.steps, sampler.skip) / sampler.steps).to(device)
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
            verdicts = self._gate.judge(squares, firsts, seconds)
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
            weight = job.mode.weight(first, second, self._sampler.ratio, self._level, **job.mode.settings)
            fused[i] = blend(first, second, weight, self._sampler.keep_variance)[0]
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
            seed=self._sampler.seed,
            model=self._denoiser.name,
            rejected=reason,
            scores=scores,
            settings={name: value for name, value in asdict(self._sampler).items() if name != "seed"}
            | dict(job.mode.settings),
        )

    def _shaped(self, square: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return stretched(square, size) if self._sampler.geometry == "squash" else square


class _Counter:
    """What an `advance` counts, reported as (stage, done, total)."""

    def __init__(self, stage: str, total: int, progress: Callable[[str, int, int], object]) -> None:
        self._stage, self._total, self._progress, self._done = stage, total, progress, 0

    def __call__(self, number: int) -> None:
        self._done += number
        self._progress(self._stage, min(self._done, self._total), self._total)


def _sides(jobs: Sequence[_Job]) -> tuple[list[Inverted], list[Inverted]]:
    return [job.first for job in jobs], [job.second for job in jobs]
