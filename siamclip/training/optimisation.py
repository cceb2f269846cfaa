"""Optimisers with their parameter groups, and the interpolation of weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from siamclip.models.encoder import SiameseEncoder
from siamclip.models.layers import layer_of

ALPHAS = tuple(i / 10 for i in range(11))  # WiSE-FT's sweep, from pretrained (0) to fine-tuned (1)


def parameter_groups(
    encoder: SiameseEncoder, learning_rate: float, weight_decay: float, layer_decay: float
) -> list[dict]:
    """One group a layer and kind, with its learning rate and the decay that it takes.

    The learning rate shrinks by `layer_decay` with each layer below the top (Clark et al. 2020, ELECTRA, section 3.1).
    Biases and norms are not decayed: they do not overfit, and decaying them costs accuracy.
    """
    layers = layer_of(encoder.tower)
    top = max(layers.values())
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in encoder.tower.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((layers[name], parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": learning_rate * layer_decay ** (top - layer),
            "weight_decay": weight_decay if decayed else 0.0,
        }
        for (layer, decayed), parameters in sorted(groups.items())
    ]


def proxy_groups(loss: nn.Module, learning_rate: float) -> list[dict]:
    """The group of a loss's own weights, none if it has none: they start at random and learn at 100 times the rate."""
    proxies = list(loss.parameters())
    return [{"params": proxies, "lr": 100 * learning_rate, "weight_decay": 0.0}] if proxies else []


def make_optimizer(name: str, groups: list[dict]) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), Adam, or SGD with Nesterov momentum 0.9.

    Each group keeps its learning rate as `base_lr`, which a schedule multiplies.
    """
    groups = [{**group, "base_lr": group["lr"]} for group in groups]
    if name == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[name](groups)


def interpolate(
    pretrained: dict[str, torch.Tensor], finetuned: dict[str, torch.Tensor], alpha: float
) -> dict[str, torch.Tensor]:
    """(1 - alpha) pretrained + alpha finetuned, tensor by tensor (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).

    Counters (integers, such as a batch norm's) are the fine-tuned ones.
    """
    return {
        name: torch.lerp(pretrained[name].float(), tensor.float(), alpha).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in finetuned.items()
    }


def wise_ft(
    tower: nn.Module,
    pretrained: dict[str, torch.Tensor],
    finetuned: dict[str, torch.Tensor],
    measure: Callable[[], float],
) -> float:
    """Leave in `tower` the blend for which `measure()` is highest, and return its alpha; of equals the largest."""
    found = {}
    for alpha in ALPHAS:
        tower.load_state_dict(interpolate(pretrained, finetuned, alpha))
        found[alpha] = measure()
    best = max(ALPHAS, key=lambda alpha: (found[alpha], alpha))
    tower.load_state_dict(interpolate(pretrained, finetuned, best))
    return best
