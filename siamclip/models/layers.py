"""The layers of a tower, from the input to the output: their numbers, freezing them, recomputing their activations.

A layer is found by the names of its parameters, which every library builds from a few words.
"""

from __future__ import annotations

import re

from torch import nn

from siamclip.errors import UserError
from siamclip.models.encoder import SiameseEncoder

_BLOCK = re.compile(r"(?:^|\.)(?:resblocks|layers|blocks|stages|layer)\.?(\d+)\.")
_HEAD = re.compile(
    r"^(?:ln_post|proj$|attnpool|attn_pool|conv_head|bn2\.|head|trunk\.(?:norm|head|fc_norm|attn_pool|final_conv))"
)


def layer_of(tower: nn.Module) -> dict[str, int]:
    """Parameter name -> layer: 0 is the patch embedding or stem, 1 ... n the blocks, n + 1 what follows them.

    In a convolutional tower a block is a stage.
    """
    names = [name for name, _ in tower.named_parameters()]
    found = {name: int(match[1]) for name in names if (match := _BLOCK.search(name))}
    first, last = min(found.values()), max(found.values())
    # CLIP's ResNets have a stem of three convolutions, so a bn2 there is not EfficientNet's head.
    stem_has_bn2 = any(name.startswith("bn3.") for name in names)

    def layer(name: str) -> int:
        if name in found:
            return found[name] - first + 1
        is_head = _HEAD.match(name) and not (stem_has_bn2 and name.startswith("bn2."))
        return last - first + 2 if is_head else 0

    return {name: layer(name) for name in names}


def blocks_of(tower: nn.Module) -> list[nn.Module]:
    """The blocks, first to last: layer k of `layer_of` is at k - 1."""
    found = ((name, module, _BLOCK.search(f"{name}.")) for name, module in tower.named_modules())
    whole = {int(match[1]): module for name, module, match in found if match and match.end() == len(name) + 1}
    return [whole[number] for number in sorted(whole)]


def freeze(encoder: SiameseEncoder, patch_embedding: bool, blocks: int) -> int:
    """Train neither the first `blocks` blocks nor, with `patch_embedding`, what comes before them.

    Their batch statistics stay as they are, too. Returns the number of frozen parameters. Raises UserError for more
    blocks than there are.
    """
    layers = layer_of(encoder.tower)
    top = max(layers.values())
    if blocks >= top:
        raise UserError("freeze_blocks", f"{encoder.spec.model} has only {top - 1} blocks", value=blocks)
    frozen = {n for n, i in layers.items() if (i == 0 and patch_embedding) or 0 < i <= blocks}
    for name, parameter in encoder.tower.named_parameters():
        parameter.requires_grad_(name not in frozen)
    encoder.frozen_modules = [
        module
        for prefix, module in encoder.tower.named_modules()
        if (own := [f"{prefix}.{name}" for name, _ in module.named_parameters(recurse=False)])
        and all(name in frozen for name in own)
    ]
    return sum(p.numel() for p in encoder.tower.parameters() if not p.requires_grad)


def checkpoint_gradients(encoder: SiameseEncoder) -> None:
    """Recompute activations in the backward pass instead of keeping them.

    Raises UserError for a tower that cannot, and for an encoder that computes in half precision on a CPU.
    """
    enable = getattr(encoder.tower, "set_grad_checkpointing", None)
    if enable is None or type(encoder.tower).__name__ == "ModifiedResNet":  # open_clip's is an empty stub there
        problem = f"not available for {encoder.spec.model}"
        raise UserError("gradient_checkpointing", problem, "use a ViT or leave it out")
    if encoder.compute_dtype is not None:  # the blocks run again when the converted weights are gone
        raise UserError("gradient_checkpointing", "on a CPU it needs `precision` fp32")
    enable(True)
