"""The encoder: embeddings on the unit sphere, a spec that says what a checkpoint belongs to, precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from siamclip.errors import UserError
from siamclip.models.encoder import EncoderSpec, create, from_spec
from tests.small_clip import gradients, pixels


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


# -- precision --------------------------------------------------------------------------------------------------------


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
