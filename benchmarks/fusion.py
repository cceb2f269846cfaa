"""Fusing pairs of photos: the product against a plain loop that inverts both photos for each pair and mode, one by one.

python benchmarks/fusion.py                                  # 40 rendered vehicles, 60 pairs, 4 modes, 50 steps
python benchmarks/fusion.py --photos FOLDER --model MODEL    # photos and a model of pixels of your own

Both use the same numbers (schedule, noise, weights) and the same network, which the loop calls as diffusers loads it.
The product's time includes its cache of noise maps, in an empty folder. Differences are in grey levels, 0 to 255. Then
the product's peak memory for 50 and for 500 pairs, of as many photos: linear mode, 10 steps at most.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.augmentation.contracts import FusionPair, MadeImage
from siamclip.augmentation.fusion.noise_cache import NoiseCache, seed_of
from siamclip.augmentation.fusion.pipeline import FusionMode, fuse_pairs, load_modes
from siamclip.augmentation.fusion.sampling import DiffusionSampler, FusionSettings
from siamclip.augmentation.method_table import MODES
from siamclip.augmentation.square_photos import SquarePhoto
from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.data.image.preprocess import Preprocessing
from siamclip.device import choose_device
from siamclip.diffusion.denoisers.denoiser import Denoiser
from siamclip.diffusion.denoisers.factory import open_denoiser
from siamclip.diffusion.sampler_schedule import SamplerSchedule, posterior_mean
from siamclip.errors import UserError, exit_on_user_error
from siamclip.methods import effective

PAIR_COUNTS = (50, 500)
MEMORY_STEPS = 10
CACHE_BYTES = 1 << 32
SEED = 42

Images = dict[str, np.ndarray]  # <pair>.<mode>.png -> uint8 (side, side, 3)


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photos instead of rendered ones")
    parser.add_argument("--model", default="vehicles64", help="as fuse --diffusion, a model of pixels")
    parser.add_argument("--images", type=int, default=40, help="photos (default 40)")
    parser.add_argument("--pairs", type=int, default=60, help="(default 60)")
    parser.add_argument("--steps", type=int, default=50, help="of the sampler (default 50)")
    parser.add_argument("--batch_size", type=int, default=16, help="of the product (default 16)")
    parser.add_argument("--device", default="auto", help="as in augment.py (default auto)")
    parser.add_argument("--memory_of", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    denoiser = open_denoiser(arguments.model, device)
    if len(denoiser.shape) != 3 or denoiser.shape[1] != denoiser.image_side:
        raise UserError("model", "has latents", "this benchmark's loop is one of pixels", arguments.model)
    if arguments.memory_of:
        print(json.dumps(_peak_memory(denoiser, device, arguments.memory_of, arguments.steps, arguments.batch_size)))
        return
    from benchmarks.machine import machine

    with tempfile.TemporaryDirectory() as folder:
        photos = _load(
            arguments.photos or _render(Path(folder), arguments.images), arguments.images, denoiser.image_side
        )
        pairs = _choose(list(photos), arguments.pairs)
        print(machine() if device.type == "cpu" else f"{torch.cuda.get_device_name(device)}; torch {torch.__version__}")
        print(f"{len(photos)} photos, {len(pairs)} pairs, {len(MODES)} modes, {arguments.steps} steps, {denoiser.name}")
        settings, modes = FusionSettings(steps=arguments.steps, seed=SEED), load_modes(MODES.values(), _settings())
        cache = NoiseCache(Path(folder) / "maps", CACHE_BYTES)
        sampler = DiffusionSampler(denoiser, settings, arguments.batch_size, device, cache)
        made, ours, our_cpu = _timed(lambda: product(photos, pairs, modes, sampler))
        print(f"product: {ours:.1f} s ({our_cpu:.1f} s of CPU), {len(made) / ours:.2f} images/s", flush=True)
        expected, plain, plain_cpu = _timed(lambda: plain_loop(photos, pairs, arguments.model, settings, device))
    print(f"plain loop: {plain:.1f} s ({plain_cpu:.1f} s of CPU), {len(expected) / plain:.2f} images/s")
    print(f"fusion: {plain / ours:.1f} times as fast as the plain loop ({plain_cpu / our_cpu:.1f} times by CPU)")
    _compare(made, expected)
    for number in PAIR_COUNTS:
        command = [sys.executable, __file__, "--memory_of", str(number), "--model", arguments.model]
        command += ["--steps", str(min(arguments.steps, MEMORY_STEPS)), "--batch_size", str(arguments.batch_size)]
        done = subprocess.run([*command, "--device", arguments.device], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        print(f"peak memory, {number} pairs of {number + 1} photos: {json.loads(done.stdout.splitlines()[-1]):.0f} MiB")


class InMemory:
    """Photos that are squares already: see squares.ReadsSquares."""

    def __init__(self, photos: Images) -> None:
        self._photos = photos
        self.hashes = {path: _content(photo) for path, photo in photos.items()}

    def read(self, path: str) -> SquarePhoto:
        photo = self._photos[path]
        return photo, (photo.shape[1], photo.shape[0])


def product(photos: Images, pairs: list[FusionPair], modes: list[FusionMode], sampler: DiffusionSampler) -> Images:
    """What augment.py fuse does, without its embedder, gate and files."""
    made: Images = {}

    def keep(rows: list[tuple[MadeImage, np.ndarray]]) -> None:
        made.update((row.path, image) for row, image in rows)

    named = [replace(pair, output_name=_name(pair)) for pair in pairs]
    fuse_pairs(named, modes, InMemory(photos), sampler, keep)
    return made


# -- the plain loop ----------------------------------------------------------------------------------------------


@torch.inference_mode()
def plain_loop(
    photos: Images, pairs: list[FusionPair], model: str, settings: FusionSettings, device: torch.device
) -> Images:
    from siamclip.diffusion.denoisers.factory import find_model

    folder = find_model(model)
    network = _plain_network(folder, device)
    schedule = open_denoiser(model, device).schedule(settings.steps, settings.eta)
    made = {}
    for pair in pairs:
        for mode in MODES:
            first = _plain_maps(network, schedule, photos[pair.first], device)
            second = _plain_maps(network, schedule, photos[pair.second], device)
            fused = [
                _plain_blend(
                    mode,
                    first[slot],
                    second[slot],
                    settings.ratio,
                    (schedule.steps - max(slot - 1, 0)) / schedule.steps,
                )
                for slot in range(schedule.steps + 1)
            ]
            x = fused[0]
            for slot, t in enumerate(range(schedule.steps, 0, -1), start=1):
                output = network(x, schedule.timesteps[t]).sample
                x = posterior_mean(x, output, t, schedule) + schedule.sigma[t] * fused[slot]
            pixels = ((x[0] + 1) * 127.5).round().clamp(0, 255).byte()
            made[f"{_name(pair)}.{mode}.png"] = pixels.permute(1, 2, 0).cpu().numpy()
    return made


def _plain_network(folder: Path, device: torch.device) -> torch.nn.Module:
    from diffusers import UNet2DModel

    unet = folder / "unet" if (folder / "unet").is_dir() else folder
    network: torch.nn.Module = UNet2DModel.from_pretrained(unet, torch_dtype=torch.float32, local_files_only=True)
    return network.to(device).eval()


def _plain_maps(
    network: torch.nn.Module, schedule: SamplerSchedule, photo: np.ndarray, device: torch.device
) -> list[torch.Tensor]:
    """x_T, z_T, ..., z_1 of one photo, (1, 3, side, side) each."""
    x_0 = torch.from_numpy(photo).permute(2, 0, 1)[None].float().to(device) / 127.5 - 1
    generator = torch.Generator().manual_seed(seed_of(SEED, _content(photo)))
    noise = torch.randn((schedule.steps, *x_0.shape[1:]), generator=generator).to(device)
    sequence = {0: x_0}
    for slot, t in enumerate(range(schedule.steps, 0, -1)):
        sequence[t] = schedule.alpha_bar[t] ** 0.5 * x_0 + (1 - schedule.alpha_bar[t]) ** 0.5 * noise[slot]
    x = sequence[schedule.steps]
    maps = [x]
    for t in range(schedule.steps, 0, -1):
        mean = posterior_mean(x, network(x, schedule.timesteps[t]).sample, t, schedule)
        maps.append((sequence[t - 1] - mean) / schedule.sigma[t])
        x = mean + schedule.sigma[t] * maps[-1]
    return maps


def _plain_blend(mode: str, first: torch.Tensor, second: torch.Tensor, ratio: float, level: float) -> torch.Tensor:
    """One map of each photo, with the variance that the two had."""
    if mode == "feature_selective":
        weight = (first.abs() > second.abs()).float()
    elif mode == "cross_fade":
        weight = torch.full_like(first, ratio + (1 - ratio) * level)
    elif mode == "layer_selective":
        weight = torch.full_like(first, 0.9 if level >= 0.7 else 0.1 if level < 0.3 else ratio)
    else:
        weight = torch.full_like(first, ratio)
    fused = weight * first + (1 - weight) * second
    share = weight.mean()
    target = share * first.var(correction=0) + (1 - share) * second.var(correction=0)
    return fused.mean() + (target / fused.var(correction=0)).sqrt() * (fused - fused.mean())


# -- photos, figures ---------------------------------------------------------------------------------------------


def _render(folder: Path, number: int) -> Path:
    from demo.build import build_demo

    return build_demo(
        folder / "demo", vehicles=number, sightings=1, cloned_plates=0, size=128, seed=11, workers=1
    ).vehicles


def _load(folder: Path, number: int, side: int) -> Images:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_EXTENSIONS)[:number]
    if len(files) < 2:
        raise UserError("photos", "holds fewer than two photos", value=folder)
    preprocessing = Preprocessing(size=side)
    return {f"{i:04}/photo.jpg": preprocessing.load(file) for i, file in enumerate(files)}


def _choose(names: list[str], number: int) -> list[FusionPair]:
    """Pairs of photos at random; each photo is in about as many as any other."""
    order = np.random.default_rng(SEED).permutation(len(names))
    near = sorted(combinations(range(len(names)), 2), key=lambda pair: (pair[1] - pair[0], pair))[:number]
    chosen = [sorted((names[order[a]], names[order[b]])) for a, b in near]
    return [FusionPair(first, second, 0.8) for first, second in chosen]


class Shifted:
    """Any number of photos, shifted copies of `base`, none of which is kept."""

    def __init__(self, base: list[np.ndarray], number: int) -> None:
        self._base = base
        paths = [f"{i:04}/photo.jpg" for i in range(number)]
        self.hashes = {path: _content(self.read(path)[0]) for path in paths}

    def read(self, path: str) -> SquarePhoto:
        i = int(path[:4])
        photo = np.roll(self._base[i % len(self._base)], i // len(self._base), axis=1)
        return photo, (photo.shape[1], photo.shape[0])


def _peak_memory(denoiser: Denoiser, device: torch.device, number: int, steps: int, batch_size: int) -> float:
    """MiB of this process after fusing `number` pairs of number + 1 photos: shifted copies of some rendered ones."""
    side = denoiser.image_side
    with tempfile.TemporaryDirectory() as folder:
        base = list(_load(_render(Path(folder), 20), 20, side).values())
        photos = Shifted(base, number + 1)
        pairs = [FusionPair(first, second, 0.8) for first, second in pairwise(photos.hashes)]
        cache = NoiseCache(Path(folder) / "maps", CACHE_BYTES)
        sampler = DiffusionSampler(denoiser, FusionSettings(steps=steps, seed=SEED), batch_size, device, cache)
        fuse_pairs(pairs, load_modes([MODES["linear"]], _settings()), photos, sampler, lambda rows: None)
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of Linux counts the parent's memory in a process that it started
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _settings() -> dict[str, dict[str, object]]:
    """As they are, but for feature_selective: entry by entry, as the loop has it."""
    return effective(MODES.values(), MODES.parse(("feature_selective.window=1",)))


def _content(photo: np.ndarray) -> str:
    return hashlib.md5(photo.tobytes(), usedforsecurity=False).hexdigest()


def _name(pair: FusionPair) -> str:
    return f"{pair.first[:4]}+{pair.second[:4]}"


def _timed(work: Callable[[], Images]) -> tuple[Images, float, float]:
    """The images, seconds, and seconds of CPU: on a busy machine only these can be compared, with one thread."""
    start, start_of_cpu = time.perf_counter(), time.process_time()
    images = work()
    return images, time.perf_counter() - start, time.process_time() - start_of_cpu


def _compare(made: Images, expected: Images) -> None:
    if made.keys() != expected.keys():
        raise RuntimeError(f"other images: {sorted(made.keys() ^ expected.keys())[:5]}")
    for mode in MODES:
        names = [name for name in sorted(made) if name.endswith(f".{mode}.png")]
        levels = np.stack([np.abs(made[name].astype(int) - expected[name]) for name in names])
        print(
            f"{mode}: largest difference {levels.max()} of 255 levels; {np.mean(levels > 0):.4%} of the values differ"
        )


if __name__ == "__main__":
    main()
