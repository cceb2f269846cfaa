"""Mixing and masking of training batches, by the methods of the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from siamclip.augmentation.method_table import MIXERS, Mixer
from siamclip.augmentation.mix.batch import Mixed, untouched
from siamclip.augmentation.mix.features import mixed_inside
from siamclip.embedding.embedder import encode
from siamclip.errors import UserError, settings_called
from siamclip.methods import effective, load_target
from siamclip.models.encoder import SiameseEncoder
from siamclip.training.losses import takes_soft_labels


def current_features(
    encoder: SiameseEncoder, device: torch.device, precision: torch.dtype | None, photos: torch.Tensor
) -> torch.Tensor:
    """Embeddings (N, D) of a batch, float32 (N, S, S, 3) in [0, 255], by the weights as they are now.

    One forward pass more: a quarter of a step's time. The encoder is in training mode before and afterwards.
    """
    encoder.eval()
    features = encode(encoder, photos.clone(), device, precision).clone()
    encoder.train()
    return features


@dataclass(frozen=True)
class BatchMixing:
    """In a share of the batches, one of the methods, each as often as the others. Without methods nothing happens."""

    methods: Sequence[Mixer]
    arguments: dict[str, dict[str, Any]]  # method -> its settings
    probability: float

    def __call__(
        self, photos: torch.Tensor, embed: Callable[[torch.Tensor], torch.Tensor], rng: np.random.Generator
    ) -> tuple[torch.Tensor, Mixed]:
        """float32 (N, S, S, 3) in [0, 255] -> the same, and who was mixed with whom.

        `embed` gives the features (N, D) of such a batch, and is called for methods that need them. All that is random
        comes from `rng`.
        """
        if not self.methods or rng.random() >= self.probability:
            return photos, untouched(photos)
        method = self.methods[int(rng.integers(len(self.methods)))]
        images = photos.permute(0, 3, 1, 2).contiguous().div(255)
        features = embed(photos) if "features" in method.needs else None
        mixed: Mixed = load_target(method.target)(images, features, rng, **self.arguments[method.name])
        return (photos if mixed.layer is not None else mixed.images.mul(255).permute(0, 2, 3, 1)), mixed

    def try_out(self, encoder: SiameseEncoder) -> None:
        """Raise UserError for a setting that is out of range, or asks for a layer that the encoder does not have."""
        side, rng = encoder.spec.preprocessing.size, np.random.default_rng(0)
        images, features = torch.zeros(2, 3, side, side), torch.eye(2, encoder.spec.dimension)
        for method in self.methods:
            with settings_called(set="mix_set"):
                mixed = method.load()(images, features, rng, **self.arguments[method.name])
                with mixed_inside(encoder, mixed):
                    pass


def make_mixing(names: Sequence[str], assignments: Sequence[str], probability: float, loss: str) -> BatchMixing:
    """Methods by name, separated by commas or given one by one. Raises UserError for what is not there, for settings
    of a method that is not asked for, and for a loss that does not understand what a method makes of labels."""
    wanted = list(dict.fromkeys(name for text in names for name in text.replace(",", " ").split()))
    methods = [MIXERS.one(name, "mix") for name in wanted]
    for method in methods:
        if method.mixes_labels and not takes_soft_labels(loss):
            masks = ", ".join(mixer.name for mixer in MIXERS.values() if not mixer.mixes_labels)
            raise UserError(
                "mix",
                f"an image of two identities has no place among the hard labels of `loss` {loss}",
                f"take `loss` contrastive, or a method that keeps labels ({masks})",
                method.name,
            )
    for text in assignments:
        name = text.partition(".")[0].strip()
        if name in MIXERS and name not in wanted:
            raise UserError("mix_set", f"{name} is not among the methods of `mix`", "add it or leave this out", text)
    return BatchMixing(methods, effective(methods, MIXERS.parse(assignments, "mix_set")), probability)
