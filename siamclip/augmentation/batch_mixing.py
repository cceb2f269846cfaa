"""Mixing and masking of training batches, by the methods of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from siamclip.augmentation.catalogue import MIXERS, Mixer, chosen_mixer, method_arguments
from siamclip.augmentation.mix.batch import Mixed, untouched
from siamclip.augmentation.mix.features import mixed_inside
from siamclip.catalogue import load_target
from siamclip.errors import UserError
from siamclip.losses import takes_soft_labels
from siamclip.model import SiameseEncoder


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
        features = embed(photos) if method.needs_features else None
        mixed: Mixed = load_target(method.target)(images, features, rng, **self.arguments[method.name])
        return (photos if mixed.layer is not None else mixed.images.mul(255).permute(0, 2, 3, 1)), mixed

    def try_out(self, encoder: SiameseEncoder) -> None:
        """Raise UserError for a setting that is out of range, or asks for a layer that the encoder does not have."""
        side, rng = encoder.spec.preprocessing.size, np.random.default_rng(0)
        images, features = torch.zeros(2, 3, side, side), torch.eye(2, encoder.spec.dimension)
        for method in self.methods:
            with _named_mix_set():
                mixed = load_target(method.target)(images, features, rng, **self.arguments[method.name])
                with mixed_inside(encoder, mixed):
                    pass


def make_mixing(names: Sequence[str], assignments: Sequence[str], probability: float, loss: str) -> BatchMixing:
    """Methods by name, separated by commas or given one by one. Raises UserError for what is not there, for settings
    of a method that is not asked for, and for a loss that does not understand what a method makes of labels."""
    wanted = list(dict.fromkeys(name for text in names for name in text.replace(",", " ").split()))
    methods = [chosen_mixer(name, "--mix") for name in wanted]
    for method in methods:
        if method.mixes_labels and not takes_soft_labels(loss):
            masks = ", ".join(mixer.name for mixer in MIXERS.values() if not mixer.mixes_labels)
            raise UserError(
                f"--mix {method.name}: an image of two identities has no place among the hard labels of --loss {loss}; "
                f"take --loss contrastive, or a method that keeps labels ({masks})"
            )
    for text in assignments:
        name = text.partition(".")[0].strip()
        if name in MIXERS and name not in wanted:
            raise UserError(f"--mix_set {text}: {name} is not among the methods of --mix; add it or leave this out")
    with _named_mix_set():
        every = method_arguments({m.name: m.target for m in MIXERS.values()}, assignments, "mixup.alpha=0.2")
    return BatchMixing(methods, {name: every[name] for name in wanted}, probability)


@contextmanager
def _named_mix_set() -> Iterator[None]:
    """The methods' own errors speak of augment.py's --set."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("--set ", "--mix_set ", 1)) from error
