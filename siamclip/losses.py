"""Losses on unit embeddings, in fp32, whatever the tower computes in.

`contrastive` is Hadsell, Chopra & LeCun 2006 without their factor 1/2: with y = 1 for the same identity,

    L = y max(d - m+, 0)^2 + (1 - y) max(m - d, 0)^2,    d = |a - b| in [0, 2],    mean over pairs.

The others are pytorch-metric-learning's, by name; they look at the labels of the photos, not at the pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from siamclip.errors import UserError, suggestion
from siamclip.pairs import Pairs


def pair_distances(embeddings: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances (P,) float32 of pairs of rows, differentiable everywhere.

    The square root has an infinite slope at 0, and identical photos in a pair are real data: below 1e-6 the
    slope is zero instead.
    """
    squared = (embeddings[first].float() - embeddings[second].float()).square().sum(dim=1)
    return squared.clamp(min=1e-12).sqrt()


def contrastive_loss(
    distances: torch.Tensor, same: torch.Tensor, margin: float, positive_margin: float = 0.0
) -> torch.Tensor:
    """Loss of each pair (P,), float32; `same` is boolean (P,). Distances and margins in [0, 2]."""
    pull = (distances - positive_margin).clamp(min=0).square()
    push = (margin - distances).clamp(min=0).square()
    return torch.where(same, pull, push)


@dataclass
class LossValue:
    value: torch.Tensor
    active_negatives: float  # share of negative pairs that the loss still pushes: none left means nothing is learnt


class ContrastiveLoss(nn.Module):
    """The mean over a batch's pairs; with `positive_ratio`, as if that share of the pairs were positive."""

    def __init__(self, margin: float, positive_margin: float = 0.0, positive_ratio: float | None = None) -> None:
        super().__init__()
        if not 0 < margin <= 2:
            raise UserError(f"--margin {margin}: must lie in (0, 2]: unit vectors are never farther apart than 2")
        self.margin, self.positive_margin, self.positive_ratio = margin, positive_margin, positive_ratio

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, pairs: Pairs) -> LossValue:
        first, second, same = (
            torch.as_tensor(x, device=embeddings.device) for x in (pairs.first, pairs.second, pairs.same)
        )
        distances = pair_distances(embeddings, first, second)
        losses = contrastive_loss(distances, same, self.margin, self.positive_margin)
        if self.positive_ratio is None:
            value = losses.mean()
        else:
            value = self.positive_ratio * _mean(losses, same) + (1 - self.positive_ratio) * _mean(losses, ~same)
        return LossValue(value, _mean((distances.detach() < self.margin).float(), ~same).item())


def _mean(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The mean over the marked entries, 0 if there is none."""
    return (values * where).sum() / where.sum().clamp(min=1)


class LabelLoss(nn.Module):
    """A loss of pytorch-metric-learning behind the same call."""

    def __init__(self, loss: nn.Module, miner: nn.Module | None = None) -> None:
        super().__init__()
        self.loss, self.miner = loss, miner

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, pairs: Pairs) -> LossValue:
        embeddings = embeddings.float()
        hard = self.miner(embeddings, labels) if self.miner is not None else None
        value = self.loss(embeddings, labels, hard) if hard is not None else self.loss(embeddings, labels)
        return LossValue(value, _harder_than_positives(embeddings.detach(), labels))


@torch.no_grad()
def _harder_than_positives(embeddings: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of negatives that are nearer to an anchor than its farthest positive: those that these losses push."""
    distances = torch.cdist(embeddings, embeddings)
    same = labels[:, None] == labels[None, :]
    farthest = torch.where(same, distances, -1.0).max(dim=1, keepdim=True).values
    return _mean((distances < farthest).float(), ~same).item()


# name -> (class in pytorch_metric_learning.losses, its arguments, class in .miners, its arguments). "margin" takes
# the setting's value; the other numbers are the papers'.
LABEL_LOSSES: dict[str, tuple[str, dict[str, Any], str | None, dict[str, Any]]] = {
    # Schroff et al. 2015, arXiv:1503.03832, with semi-hard mining
    "triplet": (
        "TripletMarginLoss",
        {"margin": "margin"},
        "TripletMarginMiner",
        {"margin": "margin", "type_of_triplets": "semihard"},
    ),
    # Wang et al. 2019, arXiv:1904.06627
    "multi-similarity": (
        "MultiSimilarityLoss",
        {"alpha": 2, "beta": 50, "base": 0.5},
        "MultiSimilarityMiner",
        {"epsilon": 0.1},
    ),
    # Sohn 2016; van den Oord et al. 2018, arXiv:1807.03748 (InfoNCE); temperature of Chen et al. 2020
    "ntxent": ("NTXentLoss", {"temperature": 0.07}, None, {}),
    # Khosla et al. 2020, arXiv:2004.11362
    "supcon": ("SupConLoss", {"temperature": 0.1}, None, {}),
    # Sun et al. 2020, arXiv:2002.10857
    "circle": ("CircleLoss", {"m": 0.4, "gamma": 80}, None, {}),
    # Kim et al. 2020, arXiv:2003.13911
    "proxy-anchor": (
        "ProxyAnchorLoss",
        {"margin": 0.1, "alpha": 32, "num_classes": "classes", "embedding_size": "dimension"},
        None,
        {},
    ),
    # Deng et al. 2019, arXiv:1801.07698; margin in degrees
    "arcface": (
        "ArcFaceLoss",
        {"margin": 28.6, "scale": 64, "num_classes": "classes", "embedding_size": "dimension"},
        None,
        {},
    ),
}
LOSS_NAMES = ("contrastive", *LABEL_LOSSES)
ALIASES = {
    "infonce": "ntxent",
    "nt-xent": "ntxent",
    "proxyanchor": "proxy-anchor",
    "multisimilarity": "multi-similarity",
}


def make_loss(
    name: str,
    margin: float,
    positive_margin: float = 0.0,
    positive_ratio: float | None = None,
    classes: int = 0,
    dimension: int = 0,
) -> nn.Module:
    """A loss by name. Raises UserError for an unknown name, with the nearest one, or a margin that cannot be met."""
    key = ALIASES.get(name.lower(), name.lower())
    if key == "contrastive":
        return ContrastiveLoss(margin, positive_margin, positive_ratio)
    if key not in LABEL_LOSSES:
        hint = suggestion(key, LOSS_NAMES, f"choose one of {', '.join(LOSS_NAMES)}")
        raise UserError(f"--loss {name}: no such loss; {hint}")
    from pytorch_metric_learning import losses, miners

    settings = {"margin": margin, "classes": classes, "dimension": dimension}
    loss, loss_arguments, miner, miner_arguments = LABEL_LOSSES[key]

    def filled(arguments: dict[str, Any]) -> dict[str, Any]:
        return {k: settings.get(v, v) if isinstance(v, str) else v for k, v in arguments.items()}

    return LabelLoss(
        getattr(losses, loss)(**filled(loss_arguments)),
        getattr(miners, miner)(**filled(miner_arguments)) if miner else None,
    )
