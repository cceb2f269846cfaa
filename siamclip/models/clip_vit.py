"""The image half of OpenAI's vision transformers (Radford et al. 2021, arXiv:2103.00020, section 2.4).

The network of open_clip's `VisionTransformer` in the shape that OpenAI published: the same names, shapes, order of
parameters and initial weights, and the same embeddings bit for bit (tests/models/test_clip_vit.py). It stands here
because open_clip cannot build a tower without importing torchvision, timm and all of its own: seconds, where a
comparison of two photos takes tenths of one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import layer_norm


@dataclass(frozen=True)
class VisionTransformerShape:
    """`width` is a token's, `dimension` the embedding's; sides in pixels."""

    image_size: int
    patch_size: int
    width: int
    blocks: int
    dimension: int
    head_width: int = 64


# By open_clip's names. All of them compute with QuickGELU.
SHAPES = {
    "ViT-B-32-quickgelu": VisionTransformerShape(224, 32, 768, 12, 512),
    "ViT-B-16-quickgelu": VisionTransformerShape(224, 16, 768, 12, 512),
    "ViT-L-14-quickgelu": VisionTransformerShape(224, 14, 1024, 24, 768),
    "ViT-L-14-336-quickgelu": VisionTransformerShape(336, 14, 1024, 24, 768),
}


class VisionTransformer(nn.Module):
    """`forward`: float (N, 3, image_size, image_size), normalised -> (N, dimension), from the class token."""

    def __init__(self, shape: VisionTransformerShape, image_size: int) -> None:
        """`image_size`: a multiple of `shape.patch_size`."""
        super().__init__()
        width, side = shape.width, image_size // shape.patch_size
        self.grid_size = (side, side)
        self.conv1 = nn.Conv2d(3, width, shape.patch_size, shape.patch_size, bias=False)
        scale = width**-0.5
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(side * side + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, shape.blocks, width // shape.head_width)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, shape.dimension))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        patches = self.conv1(pixels).flatten(2).permute(0, 2, 1)  # (N, patches, width)
        class_token = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.positional_embedding.to(patches.dtype)
        tokens = self.ln_post(self.transformer(self.ln_pre(tokens)))
        return tokens[:, 0] @ self.proj

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks' activations in the backward pass."""
        self.transformer.grad_checkpointing = enable


class Transformer(nn.Module):
    """(N, tokens, width) -> the same, through all blocks."""

    def __init__(self, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.resblocks = nn.ModuleList([ResidualAttentionBlock(width, heads) for _ in range(blocks)])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        for block in self.resblocks:
            if self.grad_checkpointing:
                from torch.utils.checkpoint import checkpoint

                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return tokens


class ResidualAttentionBlock(nn.Module):
    """Attention between the tokens, then a network of two layers on each, both added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU()), ("c_proj", nn.Linear(4 * width, width))]
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU; with the exact one its weights give other embeddings."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class LayerNorm(nn.LayerNorm):
    """Gives the type that came in, also under autocast, which computes norms in float32."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps).to(x.dtype)
