"""Towers by name: what each name is built as, and what its weights were trained with."""

from __future__ import annotations

import open_clip
import pytest
from open_clip.transformer import QuickGELU
from torch import nn

from siamclip.data.image.preprocess import CLIP_MEAN, CLIP_STD
from siamclip.errors import UserError
from siamclip.models import clip_vit
from siamclip.models.encoder import create
from siamclip.models.layers import layer_of
from siamclip.models.towers import OPENAI_NAMES, resolve
from tests.small_clip import on_meta


@pytest.mark.parametrize("name", OPENAI_NAMES)
def test_openais_names_have_quickgelu_and_openais_preprocessing(name: str) -> None:
    encoder = on_meta(name)
    kinds = [type(module) for module in encoder.tower.modules()]
    if name.startswith("ViT"):
        blocks = max(layer_of(encoder.tower).values()) - 1
        assert (kinds.count(clip_vit.QuickGELU), kinds.count(nn.GELU)) == (blocks, 0)
    # https://github.com/openai/CLIP: input resolution and embedding of each model
    sizes = {"RN50x4": 288, "RN50x16": 384, "RN50x64": 448, "ViT-L/14@336px": 336}
    dimensions = {"RN50": 1024, "RN50x4": 640, "RN50x16": 768, "RN50x64": 1024, "ViT-L/14": 768, "ViT-L/14@336px": 768}
    spec = encoder.spec
    assert (spec.preprocessing.size, spec.dimension) == (sizes.get(name, 224), dimensions.get(name, 512))
    assert (spec.preprocessing.mean, spec.preprocessing.std) == (CLIP_MEAN, CLIP_STD)
    assert (spec.preprocessing.interpolation, spec.activation) == ("bicubic", "quickgelu")
    assert spec.architecture.endswith("-quickgelu")


@pytest.mark.parametrize(
    ("name", "architecture", "activation"),
    [
        ("ViT-B-32:openai", "ViT-B-32-quickgelu", QuickGELU),
        ("ViT-B/32:laion400m_e32", "ViT-B-32-quickgelu", QuickGELU),
        ("ViT-B-32-quickgelu:laion400m_e32", "ViT-B-32-quickgelu", QuickGELU),
        ("ViT-B-32:laion2b_s34b_b79k", "ViT-B-32", nn.GELU),
        ("ViT-B/16:laion2b_s34b_b88k", "ViT-B-16", nn.GELU),
    ],
)
def test_a_tag_decides_the_activation(name: str, architecture: str, activation: type[nn.Module]) -> None:
    """What a tag was trained with is in open_clip's own table; a wrong one gives other embeddings without a word."""
    encoder = on_meta(name)
    kinds = {type(module) for module in encoder.tower.modules()} & {QuickGELU, nn.GELU}
    expected = open_clip.get_pretrained_cfg(architecture, name.partition(":")[2]).get("quick_gelu", False)
    assert (kinds, encoder.spec.architecture) == ({activation}, architecture)
    assert expected == (activation is QuickGELU)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ViT-B/23", "did you mean .*ViT-B/32"),
        ("resnet", "did you mean .*resnet50"),
        ("ViT-B-32:laion2b", "did you mean .*ViT-B-32:laion2b"),
        ("?", "try one of RN50, "),
    ],
)
def test_an_unknown_model_is_answered_with_one_that_exists(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        resolve(name)


def test_a_size_that_patches_do_not_fill(small_clip: None) -> None:
    with pytest.raises(UserError, match="image_size 100: must be a multiple of 32"):
        create("ViT-B/32", "random", image_size=100)
