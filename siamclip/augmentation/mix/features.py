"""Mixing inside an encoder: Verma et al. 2019, "Manifold Mixup", arXiv:1806.05236."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.mix.blends import linear_blend
from siamclip.errors import UserError
from siamclip.models.encoder import SiameseEncoder
from siamclip.models.layers import blocks_of


@contextmanager
def mixed_inside(encoder: SiameseEncoder, mixed: Mixed) -> Iterator[None]:
    """While it is open, activations of the batch `mixed` are mixed at `mixed.layer`; where that is None, nothing is.

    Layers count as in `freeze`: 0 is the input, k what block k puts out. Keep it open until the backward pass is
    done where gradients are checkpointed, for that computes the blocks again. Raises UserError for a layer that the
    encoder does not have.
    """
    if mixed.layer is None:
        yield
        return
    blocks = blocks_of(encoder.tower)
    if mixed.layer > len(blocks):
        problem, remedy = f"{encoder.spec.model} has {len(blocks)} blocks", f"give 0 (the input) to {len(blocks)}"
        raise UserError("set", problem, remedy, f"samplepairing.layer={mixed.layer}")

    def mix(activations: torch.Tensor) -> torch.Tensor:
        whole = activations.float()  # bf16 would round the share too
        return linear_blend(whole, whole[mixed.partner], mixed.share).to(activations.dtype)

    def at_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return mix(args[0]), *args[1:]

    def at_output(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        return mix(output)

    if mixed.layer == 0:
        hook = encoder.tower.register_forward_pre_hook(at_input)
    else:
        hook = blocks[mixed.layer - 1].register_forward_hook(at_output)
    try:
        yield
    finally:
        hook.remove()
