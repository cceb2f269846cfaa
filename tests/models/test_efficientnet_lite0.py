"""Our EfficientNet-Lite0 is timm's: names, initial weights, embeddings and gradients, bit for bit."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from siamclip.models.efficientnet_lite0 import EfficientNetLite0
from tests.small_clip import pixels


@pytest.fixture(scope="module")
def towers() -> tuple[nn.Module, nn.Module]:
    """timm's and ours, of the same seed."""
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    torch.manual_seed(0)
    return theirs, EfficientNetLite0()


def test_a_seed_gives_timms_weights_under_timms_names_in_timms_order(towers: tuple[nn.Module, nn.Module]) -> None:
    """Old checkpoints hold the weights by name and the optimiser's state by the order of the parameters."""
    theirs, ours = towers
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


@pytest.mark.parametrize("side", [64, 97])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_embeddings_are_timms(
    towers: tuple[nn.Module, nn.Module], side: int, memory_format: torch.memory_format
) -> None:
    images = pixels(side=side).contiguous(memory_format=memory_format)
    with torch.inference_mode():
        theirs, ours = (tower.eval()(images) for tower in towers)
    assert ours.shape == (3, 1280)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_and_batch_statistics_are_timms(recompute: bool) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    ours = EfficientNetLite0()
    ours.load_state_dict(theirs.state_dict())
    for tower in (theirs, ours):
        tower.set_grad_checkpointing(recompute)
        tower.train()
        tower(pixels()).square().sum().backward()
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name
    for (name, one), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        assert torch.equal(one, other), name
