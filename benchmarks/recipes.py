"""What each step from recipe baseline to recipe strong is worth, on the same split and for the same number of epochs.

python benchmarks/recipes.py --data_dir photos --model efficientnet-lite0 [--steps baseline strong] [--num_epochs 10]

The test identities are seen by no step; figures are of all their pairs. "frozen" is the pretrained model as it is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from config import RECIPES, STRONG_BY_MODEL, TrainConfig, recipe_settings
from siamclip.errors import UserError, exit_on_user_error

MOST_NEGATIVES = 200_000  # beyond it a seeded sample


def ladder(model: str) -> dict[str, dict[str, Any]]:
    """Step -> settings beside the defaults. Each contains those above it; the last one is recipe strong."""
    strong = recipe_settings("strong", model)
    rungs = (
        ("learning rate", ("learning_rate", "layer_decay", "freeze_patch_embedding", "image_size")),
        ("whole identities", ("batching", "batch_size", "photos_per_class")),
        ("loss", ("loss", "margin", "positive_margin")),
    )
    steps: dict[str, dict[str, Any]] = {"frozen": {}, "baseline": {}}
    so_far: dict[str, Any] = {}
    for name, settings in rungs:
        so_far = so_far | {key: strong[key] for key in settings if key in strong}
        steps[name] = so_far
    return steps | {"strong": strong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--weights")
    parser.add_argument("--steps", nargs="+", help="some of the steps; by default all")
    parser.add_argument("--num_epochs", type=int, default=RECIPES["strong"]["num_epochs"], help="of every step")
    parser.add_argument("--image_size", type=int, default=None, help="of every step; by default the strong recipe's")
    parser.add_argument("--test_ratio", type=float, default=TrainConfig.test_ratio)
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    arguments = parser.parse_args()
    steps = ladder(arguments.model)
    unknown = [name for name in arguments.steps or () if name not in steps]
    if unknown:
        raise UserError("steps", "no such step", f"choose from {', '.join(steps)}", unknown[0])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            data_dir=arguments.data_dir,
            model=arguments.model,
            weights=arguments.weights,
            test_ratio=arguments.test_ratio,
            seed=arguments.seed,
            checkpoint_dir=str(Path(folder) / "checkpoints"),
            log_dir=str(Path(folder) / "logs"),
        )
        # All steps see photos of one size, or the table would compare sizes.
        size = arguments.image_size or STRONG_BY_MODEL.get(arguments.model, {}).get("image_size")
        for name in arguments.steps or steps:
            changes = steps[name] | {"num_epochs": arguments.num_epochs, "image_size": size}
            found[name] = measure(name, replace(config, run_name=name.replace(" ", "-"), **changes))
    print_table(found, arguments)


def measure(name: str, config: TrainConfig) -> dict[str, float]:
    """Test AUC, EER and TAR at FAR 0.01 of a step's best checkpoint, and the minutes that its training took."""
    import train
    from dataset import load_splits
    from siamclip.data.pairs import all_pairs
    from siamclip.embedding.embedder import Embedder
    from siamclip.metrics.pair_distances import pair_distances
    from siamclip.metrics.verification import summary
    from siamclip.models.checkpoint import load_encoder
    from siamclip.models.encoder import create

    started = time.perf_counter()
    if name == "frozen":
        encoder = create(config.model, config.weights, config.image_size, config.geometry)
    else:
        encoder, _ = load_encoder(train.train(config) / "best")
    minutes = (time.perf_counter() - started) / 60
    test = load_splits(config).test
    vectors, failures = Embedder(encoder, device=config.device).embed_files(test.files)
    readable = ~np.isin(np.arange(len(test)), list(failures))
    pairs = all_pairs(test.select(readable).labels, MOST_NEGATIVES, config.seed)
    distances = pair_distances(vectors[readable], np.stack([pairs.first, pairs.second], axis=1))
    figures = summary(distances, pairs.same, threshold=1.0, fars=(0.01,))  # none of those below depends on a threshold
    return {
        "AUC": figures["auc"],
        "EER": figures["eer"],
        "TAR at FAR 0.01": figures["tar_at_far_0.01"],
        "minutes": minutes,
    }


def print_table(found: dict[str, dict[str, float]], arguments: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from benchmarks.machine import machine

    names = list(next(iter(found.values())))
    table = Table("step", *names, title=f"{arguments.model} on {arguments.data_dir}, unseen identities")
    for step, figures in found.items():
        table.add_row(
            step, *(f"{figures[name]:.4f}" if name != "minutes" else f"{figures[name]:.1f}" for name in names)
        )
    print(machine())
    Console().print(table)
    first, last = (found[step] for step in (next(iter(found)), list(found)[-1]))
    print(
        f"recipes: EER {first['EER']:.4f} -> {last['EER']:.4f} ({first['EER'] / max(last['EER'], 1e-9):.1f} times "
        f"lower), AUC {first['AUC']:.4f} -> {last['AUC']:.4f} in {arguments.num_epochs} epochs"
    )


if __name__ == "__main__":
    with exit_on_user_error():
        main()
