"""The towers: names, activations, layers, freezing, precision."""

from __future__ import annotations

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from torch import nn

from siamclip.data.image.preprocess import CLIP_MEAN, CLIP_STD
from siamclip.device import bf16_gains
from siamclip.errors import UserError
from siamclip.models.encoder import EncoderSpec, SiameseEncoder, create, from_spec
from siamclip.models.layers import checkpoint_gradients, freeze, layer_of
from siamclip.models.towers import OPENAI_NAMES, resolve
from tests.small_clip import pixels, shrink_clip


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_clip(monkeypatch)


def on_meta(model: str) -> SiameseEncoder:
    """The architecture without memory for its weights."""
    with torch.device("meta"):
        return create(model, "random")


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPENAI_NAMES)
def test_openais_names_have_quickgelu_and_openais_preprocessing(name: str) -> None:
    encoder = on_meta(name)
    kinds = [type(module) for module in encoder.tower.modules()]
    if name.startswith("ViT"):
        blocks = max(layer_of(encoder.tower).values()) - 1
        assert (kinds.count(QuickGELU), kinds.count(nn.GELU)) == (blocks, 0)
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
    with pytest.raises(UserError, match="--image_size 100: must be a multiple of 32"):
        create("ViT-B/32", "random", image_size=100)


# -- the embedding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "dimension"), [("ViT-B/32", 512), ("efficientnet-lite0", 1280), ("resnet50", 2048)])
def test_embeddings_lie_on_the_unit_sphere(model: str, dimension: int) -> None:
    encoder = create(model, "random", image_size=64)
    assert not encoder.training
    with torch.inference_mode():
        found = encoder(1e-3 * pixels())
    assert (found.shape, found.dtype) == ((3, dimension), torch.float32)
    np.testing.assert_allclose(found.norm(dim=1), 1, atol=1e-6)
    assert encoder.spec.dimension == dimension


def test_a_spec_comes_back_and_gives_the_same_architecture(small_clip: None) -> None:
    encoder = create("ViT-B/32", "random", image_size=96, geometry="pad")
    spec = EncoderSpec.from_dict(encoder.spec.to_dict())
    assert spec == encoder.spec
    again = from_spec(spec)
    again.tower.load_state_dict(encoder.tower.state_dict())
    with torch.inference_mode():
        assert torch.equal(again(pixels(side=96)), encoder(pixels(side=96)))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"activation": "gelu"}, "belongs to another architecture"),
        ({"architecture": "ViT-B-32"}, "belongs to another architecture"),
        ({"dimension": 512}, "has 16 dimensions, not 512"),
        ({"model": "ViT-B/23"}, "no such model"),
        ({"more": 1}, "exactly the keys"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(changed: dict[str, object], says: str, small_clip: None) -> None:
    values = create("ViT-B/32", "random").spec.to_dict() | changed
    with pytest.raises(UserError, match=says):
        from_spec(EncoderSpec.from_dict(values))


# -- layers ---------------------------------------------------------------------------------------------------------

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
    with pytest.raises(UserError, match="--freeze_blocks 13: ViT-B/32 has only 12 blocks"):
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


def gradients(encoder: SiameseEncoder, images: torch.Tensor) -> dict[str, torch.Tensor]:
    encoder.zero_grad()
    encoder.train()
    (encoder(images) * torch.linspace(-1, 1, encoder.spec.dimension)).sum().backward()
    return {name: p.grad.clone() for name, p in encoder.tower.named_parameters() if p.grad is not None}


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
    with pytest.raises(UserError, match=f"--gradient_checkpointing: not available for {model}"):
        checkpoint_gradients(on_meta(model))


def test_recomputing_in_half_precision_on_a_cpu_is_refused(small_clip: None) -> None:
    encoder = create("ViT-B/32", "random")
    encoder.compute_dtype = torch.bfloat16
    with pytest.raises(UserError, match="it needs --precision fp32"):
        checkpoint_gradients(encoder)


# -- precision ------------------------------------------------------------------------------------------------------


def test_bf16_is_near_fp32_and_trains_fp32_weights(small_clip: None) -> None:
    torch.manual_seed(0)
    encoder = create("ViT-B/32", "random")
    with torch.inference_mode():
        exact = encoder(pixels(8))
    single = gradients(encoder, pixels(8))
    encoder.compute_dtype = torch.bfloat16
    with torch.inference_mode():
        found = encoder(pixels(8))
    assert found.dtype == torch.float32
    assert nn.functional.cosine_similarity(found, exact).min() > 0.999
    np.testing.assert_allclose(found.norm(dim=1), 1, atol=1e-6)
    half = gradients(encoder, pixels(8))
    assert half.keys() == single.keys()
    for name, parameter in encoder.tower.named_parameters():
        assert parameter.dtype == half[name].dtype == torch.float32
    flat_half, flat_single = (torch.cat([g.flatten() for g in found.values()]) for found in (half, single))
    assert nn.functional.cosine_similarity(flat_half, flat_single, dim=0) > 0.99


def test_adam_on_fp32_master_weights_stays_finite(small_clip: None) -> None:
    """On fp16 weights its eps of 1e-8 is zero: the first step gives NaN."""
    encoder = create("ViT-B/32", "random")
    encoder.compute_dtype = torch.bfloat16
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-6)
    before = [parameter.detach().clone() for parameter in encoder.parameters()]
    gradients(encoder, pixels())
    optimizer.step()
    assert all(torch.isfinite(parameter).all() for parameter in encoder.parameters())
    # a step of 1e-6 is below the resolution of bf16 weights near 0.05, which is 2e-4
    assert any(not torch.equal(a, b) for a, b in zip(before, encoder.parameters(), strict=True))


def test_bf16_gains_follows_the_units_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for units, expected in (({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx512": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        assert bf16_gains(torch.device("cpu")) is expected
