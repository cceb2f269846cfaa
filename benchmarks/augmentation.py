"""Does augmentation help? Siamese training with each kind of it, on one split, for the same number of steps.

python benchmarks/augmentation.py DATA --out study [--diffusion vehicles64] [--seeds 1 2 3] [--num_epochs 6]

    none               photos as they are
    flip and jitter    the default of train.py; all that follow have it, too
    samplepairing      train.py --mix samplepairing
    fusion, frozen     augment.py fuse with pairs by the pretrained network as it is
    fusion, tuned      augment.py fuse with pairs by the network that "flip and jitter" trained

Identities are split once, by hash, into train, validation and test. Fused images are made of training photos alone. A
pair drawn for training costs the same whether it shows photos or made images, and every variant draws as many. Training
is repeated with each seed; figures are means over the seeds, and intervals are from a bootstrap over the test
identities, of the difference to "flip and jitter" as well. An interrupted study goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import machine
from config import DataSettings, TrainConfig
from siamclip.errors import UserError, exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]
BASIS = "flip and jitter"
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {"flip": False, "jitter": False},
    BASIS: {},
    "samplepairing": {"mix": ("samplepairing",)},
    "fusion, frozen": {},
    "fusion, tuned": {},
}
SIDES = ("train", "val", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--diffusion", default="vehicles64")
    parser.add_argument("--image_size", type=int, default=112)
    parser.add_argument("--num_epochs", type=int, default=6)
    parser.add_argument("--samples_per_class", type=int, default=20)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--margin", type=float, default=1.2)
    parser.add_argument("--max_pairs", type=int, default=60)
    parser.add_argument("--fusion_modes", default="linear,cross_fade,layer_selective")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--gate_similarity", default="0.4")
    parser.add_argument("--similarity_threshold", type=float, default=0.5)
    parser.add_argument("--similarity_ceiling", type=float, default=0.98)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    remember(options)
    split(options.data, options.out / "split")
    for seed in options.seeds:
        for variant in options.variants:
            run(variant, seed, options)
    report(options)


def remember(options: argparse.Namespace) -> None:
    """Raises UserError where OUT holds a study of other settings: its results would stand in one table with these."""
    told = {name: str(value) for name, value in vars(options).items() if name not in ("out", "seeds", "variants")}
    file = options.out / "settings.json"
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) != told:
        raise UserError("out", "holds a study of other settings", "choose another folder", options.out)
    file.write_text(json.dumps(told, indent=1), encoding="utf-8")


def split(data: Path, out: Path) -> None:
    """Copies of the photos in three folders: a split that stays while the seed of the training changes."""
    from dataset import load_splits

    if (out / "complete").exists():
        return
    splits = load_splits(DataSettings(data_dir=str(data), val_ratio=0.1, test_ratio=0.4))
    for side in SIDES:
        photos = getattr(splits, side)
        for path in photos.paths:
            (out / side / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photos.root / path, out / side / path)
    (out / "complete").touch()


def run(variant: str, seed: int, options: argparse.Namespace) -> None:
    """Train one variant with one seed, and keep the test photos' embeddings."""
    result = options.out / f"{variant.replace(', ', '-').replace(' ', '-')}-{seed}.npz"
    if result.exists():
        return
    import train
    from dataset import load_splits
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.checkpoint import load_encoder

    config = replace(training(options, seed), run_name=result.stem, **VARIANTS[variant])
    if variant.startswith("fusion"):
        config = replace(config, augmented_dir=(str(fused(variant, seed, options)),))
    shutil.rmtree(options.out / "checkpoints" / result.stem, ignore_errors=True)  # of an interrupted study
    encoder, _ = load_encoder(train.train(config) / "best")
    test = load_splits(config).test
    vectors, failures = Embedder(encoder).embed_files(test.files)
    readable = ~np.isin(np.arange(len(test)), list(failures))
    np.savez(result, vectors=vectors[readable], labels=test.labels[readable])


def training(options: argparse.Namespace, seed: int) -> TrainConfig:
    return TrainConfig(
        train_dir=str(options.out / "split" / "train"),
        val_dir=str(options.out / "split" / "val"),
        test_dir=str(options.out / "split" / "test"),
        model=options.model,
        image_size=options.image_size,
        num_epochs=options.num_epochs,
        samples_per_class=options.samples_per_class,
        learning_rate=options.learning_rate,
        margin=options.margin,
        early_stopping_patience=0,
        wise_ft=False,
        checkpoint_dir=str(options.out / "checkpoints"),
        log_dir=str(options.out / "logs"),
        seed=seed,
    )


def fused(variant: str, seed: int, options: argparse.Namespace) -> Path:
    """Images fused from the training photos. By the frozen network they are the same for every seed."""
    frozen = variant == "fusion, frozen"
    out = options.out / ("fused-frozen" if frozen else f"fused-tuned-{seed}")
    embedder = options.model if frozen else str(options.out / "checkpoints" / f"flip-and-jitter-{seed}")
    command = [
        sys.executable, str(ROOT / "augment.py"), "fuse", "--input_dir", str(options.out / "split" / "train"),
        "--output_dir", str(out), "--embedder", embedder, "--diffusion", options.diffusion,
        "--max_pairs", str(options.max_pairs), "--steps", str(options.steps),
        "--fusion_modes", options.fusion_modes, "--gate_similarity", options.gate_similarity,
        "--similarity_threshold", str(options.similarity_threshold),
        "--similarity_ceiling", str(options.similarity_ceiling),
        "--noise_cache", str(options.out / "noise_maps"), "--embedding_cache", str(options.out / "embeddings"),
        "--temp_yaml", str(options.out / f"{out.name}.yaml"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return out


# -- the table --------------------------------------------------------------------------------------------------------


def report(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    found = {variant: load(variant, options) for variant in options.variants}
    table = Table("training", "AUC", "EER", "AUC against flip and jitter", "EER", title=f"{options.data.name}: test")
    rows = {}
    for variant, runs in found.items():
        row = compared(runs, found.get(BASIS, runs))
        if BASIS not in found:  # nothing to compare with
            row = {name: row[name] for name in ("auc", "eer")}
        rows[variant] = row
        cells = [f"{row[name][0]:.4f} [{row[name][1]:.4f}, {row[name][2]:.4f}]" for name in ("auc", "eer")]
        if variant != BASIS and BASIS in found:
            cells += [f"{row[name][0]:+.4f} [{row[name][1]:+.4f}, {row[name][2]:+.4f}]" for name in ("d_auc", "d_eer")]
        table.add_row(variant, *cells)
    (options.out / "study.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(machine())
    Console(width=120).print(table)


def load(variant: str, options: argparse.Namespace) -> list[tuple[np.ndarray, np.ndarray]]:
    """(vectors, labels) of each seed."""
    stem = variant.replace(", ", "-").replace(" ", "-")
    files = [np.load(options.out / f"{stem}-{seed}.npz", allow_pickle=False) for seed in options.seeds]
    return [(file["vectors"], file["labels"]) for file in files]


def compared(
    runs: list[tuple[np.ndarray, np.ndarray]], basis: list[tuple[np.ndarray, np.ndarray]]
) -> dict[str, tuple[float, float, float]]:
    """Mean over seeds of AUC and EER, and of their differences to the basis: (value, low, high), 95%."""
    from siamclip.data.pairs import all_pairs
    from siamclip.metrics.bootstrap import identity_bootstrap
    from siamclip.metrics.pair_distances import pair_distances
    from siamclip.metrics.verification import SortedPairs

    labels = runs[0][1]
    pairs = all_pairs(labels, 100_000, seed=0)
    index = np.stack([pairs.first, pairs.second], axis=1)
    own = [SortedPairs(pair_distances(vectors, index), pairs.same) for vectors, _ in runs]
    other = [SortedPairs(pair_distances(vectors, index), pairs.same) for vectors, _ in basis]

    def statistic(weights: np.ndarray) -> dict[str, float]:
        a, b = (
            {name: float(np.mean([getattr(roc, name)() for roc in each])) for name in ("auc", "eer")}
            for each in ([one.roc(weights) for one in side] for side in (own, other))
        )
        return a | {f"d_{name}": a[name] - b[name] for name in a}

    values = statistic(np.ones(len(pairs)))
    bounds = identity_bootstrap(statistic, labels[pairs.first], labels[pairs.second], replicates=300)
    return {name: (value, bounds[name].low, bounds[name].high) for name, value in values.items()}


if __name__ == "__main__":
    with exit_on_user_error():
        main()
