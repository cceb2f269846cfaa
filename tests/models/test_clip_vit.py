"""Our CLIP towers are open_clip's: shapes, names, initial weights, embeddings and gradients, bit for bit."""

from __future__ import annotations

import open_clip
import pytest
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from siamclip.models import clip_vit
from siamclip.models.clip_vit import SHAPES, VisionTransformer
from tests.small_clip import VIT, pixels


def towers(name: str) -> tuple[nn.Module, nn.Module]:
    """open_clip's and ours, of the same seed."""
    config = open_clip.get_model_config(name)
    torch.manual_seed(0)
    theirs = _build_vision_tower(config["embed_dim"], config["vision_cfg"], quick_gelu=config["quick_gelu"])
    torch.manual_seed(0)
    return theirs, VisionTransformer(SHAPES[name], SHAPES[name].image_size)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_open_clips(name: str) -> None:
    """Old checkpoints hold the weights by name and the optimiser's state by the order of the parameters."""
    with torch.device("meta"):
        theirs, ours = towers(name)
    assert SHAPES[name].image_size == open_clip.get_model_config(name)["vision_cfg"]["image_size"]
    expected = [(key, parameter.shape) for key, parameter in theirs.named_parameters()]
    assert [(key, parameter.shape) for key, parameter in ours.named_parameters()] == expected
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert theirs.transformer.resblocks[0].attn.num_heads == ours.transformer.resblocks[0].attn.num_heads
    kinds = [type(module).__name__ for module in ours.modules()]
    assert kinds.count("QuickGELU") == [type(module).__name__ for module in theirs.modules()].count("QuickGELU") > 0


def test_a_seed_gives_open_clips_weights_and_embeddings(small_clip: None) -> None:
    theirs, ours = towers(VIT)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name
    for mode in (torch.inference_mode, torch.enable_grad):  # in the first, attention takes a path of its own
        with mode():
            expected, found = (tower.eval()(pixels()) for tower in (theirs, ours))
        assert found.shape == (3, 16)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_open_clips(recompute: bool, small_clip: None) -> None:
    theirs, ours = towers(VIT)
    for tower in (theirs, ours):
        tower.set_grad_checkpointing(recompute)
        tower.train()
        tower(pixels()).square().sum().backward()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name


def test_a_norm_keeps_half_precision_under_autocast() -> None:
    """torch computes norms in float32 there; what follows is meant to stay in the type that came in."""
    norm, tokens = clip_vit.LayerNorm(8), torch.randn(2, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(tokens).dtype == torch.bfloat16
