"""One epoch of pairs: ours against a plain fp32 loop that decodes and encodes both sides of every pair.

python benchmarks/train_step.py [--model ViT-B/32] [--data_dir FOLDER]

Both take the same pairs in the same batches, the same optimiser and no augmentation. A pair counts as two
images on both sides, however few of them ours has to encode.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.errors import exit_on_user_error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=Path, help="one sub-folder an identity, instead of rendered photos")
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--weights", help="by default the published ones; for other models than the default: random")
    parser.add_argument("--image_size", type=int)
    parser.add_argument("--samples_per_class", type=int, default=20)
    parser.add_argument("--batch_size", type=int, default=32, help="pairs")
    parser.add_argument("--workers", type=int, default=4, help="threads that decode, on our side")
    parser.add_argument("--epochs", type=int, default=2, help="the last is timed; photos are decoded in the first")
    arguments = parser.parse_args()
    if arguments.model != "efficientnet-lite0" and arguments.weights is None:
        arguments.weights = "random"

    from benchmarks.machine import machine
    from benchmarks.photos import render_photos
    from siamclip.data.collection import Collection
    from siamclip.training.sampling import Batch, draw_pairs

    with tempfile.TemporaryDirectory() as folder:
        if arguments.data_dir is None:
            render_photos(Path(folder), number=64, identities=16)
        collection = Collection.from_folder(arguments.data_dir or Path(folder))
        epochs = []
        for epoch in range(arguments.epochs):
            rng = np.random.default_rng(epoch)
            pairs = draw_pairs(collection.labels, arguments.samples_per_class, 0.5, rng)
            epochs.append([pairs.take(index) for index in _slices(len(pairs), arguments.batch_size)])
        print(machine())
        encoded = sum(len(Batch.of(pairs).photos) for pairs in epochs[-1])
        number = sum(map(len, epochs[-1]))
        print(f"{number} pairs of {len(collection)} photos: {2 * number} images, {encoded} to encode once a batch")
        plain, plain_loss = plain_epoch(collection.files, epochs[-1], arguments)
        ours, first, loss = our_epochs(collection.files, collection.labels, epochs, arguments)
    rates = {name: 2 * number / seconds for name, seconds in (("plain", plain), ("first", first), ("ours", ours))}
    print(f"mean loss: plain {plain_loss:.4f} in its first epoch, ours {loss:.4f} in its last")
    print(
        f"train_step {arguments.model}: ours {rates['ours'] / 2:.1f} pairs/s, {rates['ours']:.1f} images/s "
        f"({rates['first']:.1f} in the epoch that decodes); plain {rates['plain'] / 2:.1f} pairs/s, "
        f"{rates['plain']:.1f} images/s: {rates['ours'] / rates['plain']:.1f} times as fast"
    )


def _slices(total: int, size: int) -> list[np.ndarray]:
    return [np.arange(i, min(i + size, total)) for i in range(0, total, size)]


def plain_epoch(files: list[Path], batches: list, arguments: argparse.Namespace) -> tuple[float, float]:
    """Seconds and mean loss of the loop that tutorials show: open, resize, stack and encode each side of each pair."""
    import torch
    from PIL import Image

    from siamclip.models.encoder import create
    from siamclip.training.losses import contrastive_loss

    encoder = create(arguments.model, arguments.weights, arguments.image_size)
    encoder.to(memory_format=torch.contiguous_format)
    tower, preprocessing = encoder.tower.train(), encoder.spec.preprocessing
    side = (preprocessing.size, preprocessing.size)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-5)

    def encoded(photos: np.ndarray) -> torch.Tensor:
        images = [np.array(Image.open(files[i]).convert("RGB").resize(side, Image.Resampling.BICUBIC)) for i in photos]
        features = tower(preprocessing.normalise(torch.from_numpy(np.stack(images))))
        return torch.nn.functional.normalize(features, dim=-1)

    losses = []
    started = time.perf_counter()
    for pairs in batches:
        distances = (encoded(pairs.first) - encoded(pairs.second)).square().sum(dim=1).clamp(min=1e-12).sqrt()
        loss = contrastive_loss(distances, torch.from_numpy(pairs.same), margin=0.5).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return time.perf_counter() - started, float(np.mean(losses))


def our_epochs(
    files: list[Path], labels: np.ndarray, epochs: list, arguments: argparse.Namespace
) -> tuple[float, float, float]:
    """Seconds of the last and of the first epoch, and the last's mean loss, with what train.py is made of."""
    import torch

    from siamclip.data.loader import PhotoLoader
    from siamclip.embedding.embedder import choose_precision
    from siamclip.models.encoder import create
    from siamclip.training.losses import make_loss
    from siamclip.training.optimisation import make_optimizer, parameter_groups
    from siamclip.training.sampling import Batch

    encoder = create(arguments.model, arguments.weights, arguments.image_size).train()
    encoder.compute_dtype = choose_precision("auto", torch.device("cpu"), encoder)
    print(f"ours computes in {str(encoder.compute_dtype or torch.float32).removeprefix('torch.')}")
    preprocessing = encoder.spec.preprocessing
    optimizer = make_optimizer("adamw", parameter_groups(encoder, 1e-5, 0.01, 1.0))
    contrastive = make_loss("contrastive", 0.5)
    seconds = []
    with PhotoLoader(files, lambda file, _: preprocessing.load(file), arguments.workers, 2**30) as loader:
        for epoch in epochs:
            losses = []
            started = time.perf_counter()
            batches = [Batch.of(pairs) for pairs in epoch]
            for batch, (photos, unreadable) in zip(batches, loader.stream(b.photos for b in batches), strict=True):
                kept = batch.without(unreadable)
                embeddings = encoder(preprocessing.normalise(torch.from_numpy(photos)))
                loss = contrastive(embeddings, torch.from_numpy(labels[kept.photos]), kept.pairs).value
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            seconds.append(time.perf_counter() - started)
    return seconds[-1], seconds[0], float(np.mean(losses))


if __name__ == "__main__":
    with exit_on_user_error():
        main()
