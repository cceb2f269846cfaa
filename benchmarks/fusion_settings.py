"""What settings of `augment.py fuse` do to the images: variance kept or not, steps of the sampler, steps left out.

python benchmarks/fusion_settings.py PHOTOS --out folder [--embedder NAME] [--diffusion vehicles64] [--max_pairs 40]

For each setting and mode, on the same pairs and with a gate that lets everything pass:

    nearer, farther   cosine of an image to the nearer and the farther of its two photos, mean
    sharpness         variance of the Laplacian relative to the photos' geometric mean, median
    kept              the share that the default gate keeps
    KID               kernel distance (Binkowski et al. 2018, arXiv:1801.01401; cubic, unbiased) between images and
                      photos of the same size, times 1000, on the features of efficientnet-lite0: how unlike photos the
                      images are. Two halves of the photos give the last row: what chance makes of it.

OUT/<setting>/contact_sheet.png is for the eye, which has the last word.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import machine
from config_augment import AugmentFuseConfig
from siamclip.errors import exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, list[str]] = {
    "default": [],
    "other-variance": ["--no_keep_variance" if AugmentFuseConfig.keep_variance else "--keep_variance"],
    "steps-20": ["--steps", "20"],
    "steps-100": ["--steps", "100"],
    "skip-10%": ["--skip", "5"],
    "skip-20%": ["--skip", "10"],
    "skip-40%": ["--skip", "20"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--embedder", default="efficientnet-lite0")
    parser.add_argument("--checkpoint_dir", default="checkpoints")
    parser.add_argument("--diffusion", default="vehicles64")
    parser.add_argument("--similarity_threshold", default="0.7")
    parser.add_argument("--max_pairs", default="40")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.settings:
        fuse(options.out / name, SETTINGS[name], options)
    report(options)


def fuse(out: Path, flags: list[str], options: argparse.Namespace) -> None:
    command = [
        sys.executable, str(ROOT / "augment.py"), "fuse", "--input_dir", str(options.photos), "--output_dir", str(out),
        "--embedder", options.embedder, "--checkpoint_dir", options.checkpoint_dir, "--diffusion", options.diffusion,
        "--similarity_threshold", options.similarity_threshold, "--max_pairs", options.max_pairs,
        "--gate_similarity", "-1", "--gate_sharpness", "0", "--noise_cache", str(options.out / "noise_maps"),
        "--embedding_cache", str(options.out / "embeddings"), "--temp_yaml", str(options.out / f"{out.name}.yaml"),
        *flags,
    ]  # fmt: skip
    subprocess.run(command, check=True)


def report(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from siamclip.augmentation.output.folder import read_manifest

    gate = float(options.similarity_threshold)
    table = Table(
        "setting", "mode", "images", "nearer", "farther", "sharpness", "kept", "KID", title=str(options.photos)
    )
    parents: set[str] = set()
    for name in options.settings:
        made = read_manifest(options.out / name)
        parents |= {path for image in made for path in (image.first, image.second)}
    real = features([options.photos / path for path in sorted(parents)], photos=True)
    for name in options.settings:
        made = read_manifest(options.out / name)
        for mode in sorted({image.method for image in made}):
            images = [image for image in made if image.method == mode]
            near, far, sharp = (
                np.array([function(image.scores) for image in images])
                for function in (
                    lambda s: max(s["similarity_first"], s["similarity_second"]),
                    lambda s: min(s["similarity_first"], s["similarity_second"]),
                    lambda s: s["sharpness"],
                )
            )
            kept = np.mean((far >= gate) & (sharp >= AugmentFuseConfig.gate_sharpness))
            distance = kernel_distance(features([options.out / name / image.path for image in images]), real)
            row = (name, mode, str(len(images)), f"{near.mean():.3f}", f"{far.mean():.3f}", f"{np.median(sharp):.2f}")
            table.add_row(*row, f"{kept:.2f}", f"{1000 * distance:.1f}")
    halves = np.random.default_rng(0).permutation(len(real))
    chance = kernel_distance(real[halves[::2]], real[halves[1::2]])
    table.add_row("photos", "-", str(len(real)), "-", "-", "-", "-", f"{1000 * chance:.1f}")
    print(machine())
    Console(width=120).print(table)


def features(files: list[Path], photos: bool = False) -> np.ndarray:
    """(N, D) unit features of the files; photos are first made as small as the images are."""
    from siamclip.data.image.preprocess import Preprocessing
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.encoder import create

    embedder = Embedder(create("efficientnet-lite0"))
    if photos:
        small = Preprocessing(size=64, geometry="squash")
        return embedder.embed([small.load(file) for file in files])
    return embedder.embed(
        [Preprocessing(size=64, geometry="squash", reduced_decode=False).load(file) for file in files]
    )


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy under the kernel (x y + 1)^3 of unit vectors."""
    a, b, both = ((x @ y.T + 1.0) ** 3 for x, y in ((one, one), (other, other), (one, other)))
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (a, b)]
    return float(sum(within) - 2 * both.mean())


if __name__ == "__main__":
    with exit_on_user_error():
        main()
