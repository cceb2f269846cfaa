"""The encoder that both branches of the Siamese network share: an image tower, and its features scaled to unit length.

Towers: every OpenAI CLIP (Radford et al. 2021, arXiv:2103.00020) and every other CLIP that open_clip knows,
torchvision's ResNet50 (He et al. 2016), and EfficientNet-Lite0 (Tan & Le 2019), whose weights a package carries.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from siamclip.data.image.preprocess import Geometry, Preprocessing
from siamclip.errors import UserError
from siamclip.models.towers import BUILDERS, load_into, published_preprocessing, published_weights, resolve
from siamclip.models.weights import read_state_dict


@dataclass(frozen=True)
class EncoderSpec:
    """All that an encoder is but its weights: a checkpoint keeps it, and fits no encoder of another one."""

    model: str  # as the user names it
    architecture: str  # as the library that builds it names it
    activation: str
    dimension: int
    preprocessing: Preprocessing

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"preprocessing": self.preprocessing.to_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EncoderSpec:
        """Raises UserError for an unknown, missing or ill-typed entry."""
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            raise UserError("", f"encoder metadata must have exactly the keys {sorted(names)}")
        return cls(**values | {"preprocessing": Preprocessing.from_dict(values["preprocessing"])})


class SiameseEncoder(nn.Module):
    """`forward`: float (N, 3, size, size), normalised -> float32 (N, dimension), of unit length.

    With `compute_dtype` set, the tower computes in that type on copies of the weights that are made inside the
    graph: the optimiser keeps its fp32 master weights (an Adam step on half-precision weights gives NaN),
    and on CPUs with bf16 units this is several times as fast as autocast, which converts at every operation.
    """

    def __init__(self, tower: nn.Module, spec: EncoderSpec) -> None:
        super().__init__()
        self.tower = tower
        self.spec = spec
        self.compute_dtype: torch.dtype | None = None  # None: the weights' own
        self.frozen_modules: list[nn.Module] = []  # see layers.freeze

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.is_convolutional:
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        if self.compute_dtype is None:
            features = self.tower(pixels)
        else:
            weights = {k: p.to(self.compute_dtype) for k, p in self.tower.named_parameters()}
            features = functional_call(self.tower, weights, (pixels.to(self.compute_dtype),))
        # The norm in fp32: an eps of 1e-12 is zero in fp16, and squares of small features vanish in it.
        return nn.functional.normalize(features.float(), dim=-1, eps=1e-6)

    @property
    def is_convolutional(self) -> bool:
        """Whether the tower is a convolutional network (ResNet, EfficientNet), which wants channels last."""
        return not self.spec.architecture.startswith("ViT")

    def train(self, mode: bool = True) -> SiameseEncoder:
        """Frozen modules stay in evaluation mode: their batch statistics are frozen as well."""
        super().train(mode)
        for module in self.frozen_modules:
            module.eval()
        return self


def create(
    model: str = "ViT-B/32",
    weights: str | None = None,
    image_size: int | None = None,
    geometry: Geometry = "squash",
    reduced_decode: bool = True,
) -> SiameseEncoder:
    """A pretrained encoder, in fp32 on the CPU, in evaluation mode.

    `weights` is None for the published ones, "random", or a local file. Raises UserError for an unknown name,
    weights that cannot be had or do not fit, or a size that the architecture cannot take.
    """
    kind, architecture, tag = resolve(model)
    defaults, activation = published_preprocessing(kind, architecture, tag)
    preprocessing = dataclasses.replace(
        defaults, size=image_size or defaults.size, geometry=geometry, reduced_decode=reduced_decode
    )
    tower, dimension = BUILDERS[kind](architecture, preprocessing.size)
    spec = EncoderSpec(model, architecture, activation, dimension, preprocessing)
    if weights != "random":
        path = Path(weights) if weights else published_weights(kind, model, architecture, tag)
        load_into(tower, kind, read_state_dict(path), path)
    return _finished(tower, spec)


def from_spec(spec: EncoderSpec) -> SiameseEncoder:
    """The architecture of a checkpoint, with weights still to be loaded. Raises UserError on a contradiction."""
    kind, architecture, tag = resolve(spec.model)
    _, activation = published_preprocessing(kind, architecture, tag)
    if (architecture, activation) != (spec.architecture, spec.activation):
        raise UserError(
            "",
            f"checkpoint metadata: {spec.model} is {architecture} with {activation} here, but the checkpoint says "
            f"{spec.architecture} with {spec.activation}",
            "it belongs to another architecture",
        )
    tower, dimension = BUILDERS[kind](architecture, spec.preprocessing.size)
    if dimension != spec.dimension:
        raise UserError("", f"checkpoint metadata: {spec.model} has {dimension} dimensions, not {spec.dimension}")
    return _finished(tower, spec)


def _finished(tower: nn.Module, spec: EncoderSpec) -> SiameseEncoder:
    encoder = SiameseEncoder(tower.float(), spec)
    if encoder.is_convolutional:  # 1.6 to 2.8 times as fast as NCHW, measured with efficientnet-lite0 on a CPU
        encoder = encoder.to(memory_format=torch.channels_last)
    return encoder.eval()
