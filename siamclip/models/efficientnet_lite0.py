"""EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; the Lite variant: ReLU6, no squeeze-and-excitation).

The network of timm's `tf_efficientnet_lite0` without its classifier: the same names, shapes, order of parameters and
initial weights, and the same embeddings bit for bit (tests/models/test_efficientnet_lite0.py). It stands here because
timm cannot build one network without importing all of its own and torchvision: two seconds, longer than a comparison
of two photos takes.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, conv2d, pad, relu6

STEM, FEATURES = 32, 1280  # channels of the first and of the last convolution
# A stage: number of blocks, kernel, stride of its first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_BATCH_NORM_EPS = 1e-3  # TensorFlow's, which the weights were trained with


class EfficientNetLite0(nn.Module):
    """`forward`: float (N, 3, H, W), normalised -> (N, 1280), the mean over the last feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.conv_stem = _convolution(3, STEM, 3, stride=2)
        self.bn1 = _batch_norm(STEM)
        for _ in range(
            2
        ):  # timm tries a squeeze-and-excitation layer here: with its draws, a seed gives timm's weights
            nn.Conv2d(8, 8, 1)
        stages, channels = [], STEM
        for blocks, kernel, stride, expansion, out in STAGES:
            stage: list[nn.Module] = []
            for number in range(blocks):
                first_stride = stride if number == 0 else 1
                if expansion == 1:
                    stage.append(DepthwiseSeparable(channels, out, kernel, first_stride))
                else:
                    stage.append(InvertedResidual(channels, out, kernel, first_stride, expansion))
                channels = out
            stages.append(nn.Sequential(*stage))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _convolution(channels, FEATURES, 1)
        self.bn2 = _batch_norm(FEATURES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        x = relu6(self.bn1(self.conv_stem(pixels)), inplace=True)
        for stage in self.blocks:
            if not self.grad_checkpointing:
                x = stage(x)  # called as a whole: hooks on a stage are how Manifold Mixup reaches its activations
                continue
            from torch.utils.checkpoint import checkpoint

            for block in stage.children():
                x = checkpoint(block, x, use_reentrant=False)
        x = relu6(self.bn2(self.conv_head(x)), inplace=True)
        return adaptive_avg_pool2d(x, 1).flatten(1)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the blocks' activations in the backward pass."""
        self.grad_checkpointing = enable


class DepthwiseSeparable(nn.Module):
    """The first stage's block: a filter a channel, then a mixture of the channels."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(channels, channels, kernel, stride, groups=channels)
        self.bn1 = _batch_norm(channels)
        self.conv_pw = _convolution(channels, out, 1)
        self.bn2 = _batch_norm(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = relu6(self.bn1(self.conv_dw(x)), inplace=True)
        return self.bn2(self.conv_pw(x))


class InvertedResidual(nn.Module):
    """Expands the channels, filters each, and projects to few (Sandler et al. 2018, arXiv:1801.04381)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.has_skip = stride == 1 and channels == out
        self.conv_pw = _convolution(channels, wide, 1)
        self.bn1 = _batch_norm(wide)
        self.conv_dw = _convolution(wide, wide, kernel, stride, groups=wide)
        self.bn2 = _batch_norm(wide)
        self.conv_pwl = _convolution(wide, out, 1)
        self.bn3 = _batch_norm(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = relu6(self.bn1(self.conv_pw(x)), inplace=True)
        y = relu6(self.bn2(self.conv_dw(y)), inplace=True)
        y = self.bn3(self.conv_pwl(y))
        return y + x if self.has_skip else y


class SamePaddedConv2d(nn.Conv2d):
    """TensorFlow's "SAME": an output for every stride-th pixel; an odd pixel of padding goes to the right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = (self._padding(side, axis) for axis, side in enumerate(x.shape[-2:]))
        x = pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padding(self, side: int, axis: int) -> int:
        kernel, stride = self.kernel_size[axis], self.stride[axis]
        return max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)


def _convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:  # the padding is the same on both sides, whatever the size
        return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SamePaddedConv2d(channels, out, kernel, stride, groups=groups, bias=False)


def _batch_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_BATCH_NORM_EPS)
