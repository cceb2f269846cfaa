"""FolderMixing at a layer of an encoder, of every kind of tower."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.mix.features import mixed_inside
from siamclip.errors import UserError
from siamclip.models.encoder import SiameseEncoder, create
from siamclip.models.layers import blocks_of, checkpoint_gradients, layer_of
from tests.small_clip import pixels, shrink_clip

MODELS = ("ViT-B/32", "resnet50", "efficientnet-lite0")
SMALL = pytest.mark.parametrize("model", ("ViT-B/32", "efficientnet-lite0"))


@pytest.fixture(scope="module")
def encoders() -> dict[str, SiameseEncoder]:
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        shrink_clip(patch)
        return {model: create(model, weights="random", image_size=64) for model in MODELS}


def mixed(images: torch.Tensor, share: float, layer: int | None) -> Mixed:
    number = len(images)
    return Mixed(images, torch.arange(number).roll(1), torch.full((number,), share), layer)


def tokens(module: torch.nn.Module, run: object) -> torch.Tensor:
    """What `module` puts out while `run` runs."""
    seen: list[torch.Tensor] = []
    hook = module.register_forward_hook(lambda module, args, output: seen.append(output.detach()))
    run()  # type: ignore[operator]
    hook.remove()
    return seen[0]


@SMALL
@torch.inference_mode()
def test_a_share_of_one_changes_nothing_and_of_zero_gives_the_partner(
    encoders: dict[str, SiameseEncoder], model: str
) -> None:
    encoder, images = encoders[model], pixels()
    plain = encoder(images)
    for layer in (0, 2, len(blocks_of(encoder.tower))):
        with mixed_inside(encoder, mixed(images, 1.0, layer)):
            torch.testing.assert_close(encoder(images), plain)
        with mixed_inside(encoder, mixed(images, 0.0, layer)):
            torch.testing.assert_close(encoder(images), plain.roll(1, 0), atol=1e-5, rtol=1e-4)
    with mixed_inside(encoder, mixed(images, 0.5, None)):
        assert torch.equal(encoder(images), plain)
    assert torch.equal(encoder(images), plain), "the hook is gone"


@SMALL
@torch.inference_mode()
def test_at_the_input_it_is_the_blend_of_the_photos(encoders: dict[str, SiameseEncoder], model: str) -> None:
    encoder, images = encoders[model], pixels()
    with mixed_inside(encoder, mixed(images, 0.3, 0)):
        found = encoder(images)
    torch.testing.assert_close(found, encoder(0.3 * images + 0.7 * images.roll(1, 0)))


@pytest.mark.parametrize("model", MODELS)
@torch.inference_mode()
def test_at_a_block_it_is_the_blend_of_its_activations(encoders: dict[str, SiameseEncoder], model: str) -> None:
    encoder, images = encoders[model], pixels()
    blocks = blocks_of(encoder.tower)
    plain = [tokens(block, lambda: encoder(images)) for block in blocks]
    for k, block in ((1, blocks[0]), (len(blocks), blocks[-1])):
        with mixed_inside(encoder, mixed(images, 0.3, k)):
            found = tokens(block, lambda: encoder(images))
            torch.testing.assert_close(found, 0.3 * plain[k - 1] + 0.7 * plain[k - 1].roll(1, 0))
    # Deep layers are not what the input's blend makes of them.
    with mixed_inside(encoder, mixed(images, 0.3, len(blocks))):
        deep = encoder(images)
    with mixed_inside(encoder, mixed(images, 0.3, 0)):
        assert not torch.allclose(deep, encoder(images), atol=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_blocks_are_those_that_freeze_counts(encoders: dict[str, SiameseEncoder], model: str) -> None:
    tower = encoders[model].tower
    layers, names = layer_of(tower), {id(parameter): name for name, parameter in tower.named_parameters()}
    for k, block in enumerate(blocks_of(tower), start=1):
        assert {layers[names[id(parameter)]] for parameter in block.parameters()} == {k}
    inside = {names[id(parameter)] for block in blocks_of(tower) for parameter in block.parameters()}
    assert inside == {name for name, layer in layers.items() if 0 < layer <= len(blocks_of(tower))}


def test_in_half_precision_the_share_is_not_rounded(encoders: dict[str, SiameseEncoder]) -> None:
    encoder, images = encoders["ViT-B/32"], pixels()
    block = blocks_of(encoder.tower)[1]
    encoder.compute_dtype = torch.bfloat16
    try:
        plain = tokens(block, lambda: encoder(images))
        with mixed_inside(encoder, mixed(images, 0.3, 2)):
            found = tokens(block, lambda: encoder(images))
    finally:
        encoder.compute_dtype = None
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, torch.lerp(plain.roll(1, 0).float(), plain.float(), 0.3).bfloat16())


def test_gradients_flow_to_both_parents_and_survive_checkpointing(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_clip(monkeypatch)
    torch.manual_seed(0)
    encoder, images = create("ViT-B/32", weights="random", image_size=64), pixels()
    target = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32))

    def gradient() -> list[torch.Tensor]:
        given = images.clone().requires_grad_()
        with mixed_inside(encoder, mixed(images, 0.3, 2)):
            (encoder(given)[:1] * target[:1]).sum().backward()
        assert given.grad is not None
        found = [given.grad, *(p.grad.clone() for p in encoder.parameters() if p.grad is not None)]
        encoder.zero_grad()
        return found

    plain = gradient()
    assert plain[0][0].abs().sum() > 0 and plain[0][2].abs().sum() > 0, "photo 0 and its partner"
    assert plain[0][1].abs().sum() == 0
    checkpoint_gradients(encoder)
    encoder.train()
    for found, expected in zip(gradient(), plain, strict=True):
        torch.testing.assert_close(found, expected)


def test_a_layer_that_is_not_there_is_refused(encoders: dict[str, SiameseEncoder]) -> None:
    with (
        pytest.raises(UserError, match=r"set samplepairing.layer=4: ViT-B/32 has 3 blocks; give 0 \(the input\) to 3"),
        mixed_inside(encoders["ViT-B/32"], mixed(pixels(), 0.3, 4)),
    ):
        pass
