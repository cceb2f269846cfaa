"""The layers of a tower: their order, freezing them, recomputing their activations."""

from __future__ import annotations

import pytest
import torch

from siamclip.errors import UserError
from siamclip.models.encoder import create
from siamclip.models.layers import checkpoint_gradients, freeze, layer_of
from tests.small_clip import gradients, on_meta, pixels

# name -> (number of blocks, parameters below the blocks, parameters above them)
LAYERS: dict[str, tuple[int, set[str], set[str]]] = {
    "ViT-B/32": (12, {"conv1.weight", "class_embedding", "positional_embedding"}, {"ln_post.bias", "proj"}),
    "RN50": (4, {"conv1.weight", "bn2.weight", "conv3.weight"}, {"attnpool.c_proj.weight"}),
    "resnet50": (4, {"conv1.weight", "bn1.bias"}, set()),
    "efficientnet-lite0": (7, {"conv_stem.weight", "bn1.bias"}, {"conv_head.weight", "bn2.weight"}),
    "ViT-B-16-SigLIP:webli": (12, {"trunk.patch_embed.proj.bias", "trunk.pos_embed"}, {"trunk.attn_pool.latent"}),
    "convnext_base:laion400m_s13b_b51k": (4, {"trunk.stem.0.weight"}, {"trunk.head.norm.weight"}),
}


@pytest.mark.parametrize("model", LAYERS)
def test_layers_from_the_input_to_the_output(model: str) -> None:
    blocks, below, above = LAYERS[model]
    layers = layer_of(on_meta(model).tower)
    names_in = {
        layer: {name for name, found in layers.items() if found == layer} for layer in range(max(layers.values()) + 1)
    }
    assert all(names_in.values())  # none is empty
    assert max(layers.values()) == (blocks + 1 if above else blocks)
    assert below <= names_in[0]
    assert above <= names_in.get(blocks + 1, set())


@pytest.mark.parametrize("model", ["ViT-B/32", "RN50", "resnet50", "efficientnet-lite0"])
def test_freezing_stops_the_gradient_of_stem_and_first_blocks(model: str) -> None:
    encoder = on_meta(model)
    layers = layer_of(encoder.tower)
    sizes = {name: parameter.numel() for name, parameter in encoder.tower.named_parameters()}
    for stem, blocks in ((True, 0), (False, 2), (True, 3), (False, 0)):
        frozen = freeze(encoder, stem, blocks)
        expected = {name for name, i in layers.items() if (i == 0 and stem) or 1 <= i <= blocks}
        assert {name for name, p in encoder.tower.named_parameters() if not p.requires_grad} == expected
        assert frozen == sum(sizes[name] for name in expected)


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(UserError, match="freeze_blocks 13: ViT-B/32 has only 12 blocks"):
        freeze(on_meta("ViT-B/32"), False, 13)


def test_statistics_of_frozen_layers_stay_frozen() -> None:
    encoder = create("efficientnet-lite0", image_size=64)
    freeze(encoder, True, 2)
    before = {name: buffer.clone() for name, buffer in encoder.tower.named_buffers()}
    encoder.train()
    encoder(pixels()).sum().backward()
    layers = layer_of(encoder.tower)
    for name, buffer in encoder.tower.named_buffers():
        layer = layers[f"{name.rpartition('.')[0]}.weight"]  # of the norm that it belongs to
        assert torch.equal(buffer, before[name]) == (layer <= 2), name
    for name, parameter in encoder.tower.named_parameters():
        assert (parameter.grad is None) == (layers[name] <= 2), name


# -- gradient checkpointing -------------------------------------------------------------------------------------------


def test_recomputed_activations_give_the_same_gradients(small_clip: None) -> None:
    torch.manual_seed(0)
    encoder = create("ViT-B/32", "random")
    plain = gradients(encoder, pixels())
    runs = []
    block = encoder.tower.transformer.resblocks[0]
    block.register_forward_pre_hook(lambda *_: runs.append(1))
    checkpoint_gradients(encoder)
    recomputed = gradients(encoder, pixels())
    assert len(runs) == 2  # forward, and again in the backward pass
    assert recomputed.keys() == plain.keys() == dict(encoder.tower.named_parameters()).keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(recomputed[name], gradient, msg=name)


@pytest.mark.parametrize("model", ["RN50", "resnet50"])
def test_where_nothing_can_be_recomputed_it_is_refused(model: str) -> None:
    with pytest.raises(UserError, match=f"gradient_checkpointing: not available for {model}"):
        checkpoint_gradients(on_meta(model))


def test_recomputing_in_half_precision_on_a_cpu_is_refused(small_clip: None) -> None:
    encoder = create("ViT-B/32", "random")
    encoder.compute_dtype = torch.bfloat16
    with pytest.raises(UserError, match="it needs precision fp32"):
        checkpoint_gradients(encoder)
