"""Losses on unit embeddings, in fp32, whatever the tower computes in.

`contrastive` is Hadsell, Chopra & LeCun 2006 without their factor 1/2: with y = 1 for the same identity,

    L = y max(d - m+, 0)^2 + (1 - y) max(m - d, 0)^2,    d = |a - b| in [0, 2],    mean over pairs.

With mixed images y is how far the labels of both agree (soft_labels.py), in [0, 1]. Between the margins the loss of
such a pair is least at d = y m+ + (1 - y) m: half-way images are wanted half-way.

The others are pytorch-metric-learning's, by name; they look at the labels of the photos, not at the pairs, and know
hard labels only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from siamclip.data.pairs import Pairs
from siamclip.errors import UserError, suggestion


def distances_of_pairs(embeddings: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Euclidean distances (P,) float32 of pairs of rows, differentiable everywhere.

    The square root has an infinite slope at 0, and identical photos in a pair are real data: below 1e-6 the
    slope is zero instead.
    """
    squared = (embeddings[first].float() - embeddings[second].float()).square().sum(dim=1)
    return squared.clamp(min=1e-12).sqrt()


def contrastive_loss(
    distances: torch.Tensor, same: torch.Tensor, margin: float, positive_margin: float = 0.0
) -> torch.Tensor:
    """Loss of each pair (P,), in the distances' dtype; `same` (P,) is boolean, or y in [0, 1]. Distances and margins
    in [0, 2]."""
    y = same.to(distances.dtype)
    return y * _pull(distances, positive_margin) + (1 - y) * _push(distances, margin)


def _pull(distances: torch.Tensor, positive_margin: float) -> torch.Tensor:
    return (distances - positive_margin).clamp(min=0).square()


def _push(distances: torch.Tensor, margin: float) -> torch.Tensor:
    return (margin - distances).clamp(min=0).square()


@dataclass
class LossValue:
    value: torch.Tensor
    active_negatives: float  # share of negative pairs that the loss still pushes: none left means nothing is learnt


class ContrastiveLoss(nn.Module):
    """The mean over a batch's pairs; with `positive_ratio`, as if that share of the pairs were positive.

    A pair of mixed images is y of a positive pair and 1 - y of a negative one, in both means and in
    `active_negatives`; it still is pushed while its push is stronger than its pull.
    """

    def __init__(self, margin: float, positive_margin: float = 0.0, positive_ratio: float | None = None) -> None:
        super().__init__()
        if not 0 < margin <= 2:
            problem = "must lie in (0, 2]: unit vectors are never farther apart than 2"
            raise UserError("margin", problem, value=margin)
        self.margin, self.positive_margin, self.positive_ratio = margin, positive_margin, positive_ratio

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor, pairs: Pairs) -> LossValue:
        first, second, same = (
            torch.as_tensor(x, device=embeddings.device) for x in (pairs.first, pairs.second, pairs.same)
        )
        distances = distances_of_pairs(embeddings, first, second)
        y = same.to(distances.dtype)
        if self.positive_ratio is None:
            value = contrastive_loss(distances, y, self.margin, self.positive_margin).mean()
        else:
            pull, push = _pull(distances, self.positive_margin), _push(distances, self.margin)
            value = self.positive_ratio * _mean(pull, y) + (1 - self.positive_ratio) * _mean(push, 1 - y)
        return LossValue(value, _mean(self._is_pushed(distances.detach(), y), 1 - y).item())

    def _is_pushed(self, distances: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """1 where the loss falls with a growing distance, else 0: (P,)."""
        outwards = (1 - y) * (self.margin - distances).clamp(min=0)
        inwards = y * (distances - self.positive_margin).clamp(min=0)
        return (outwards > inwards).to(distances.dtype)


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The weighted mean, 0 if there is no weight."""
    return (values * weight).sum() / weight.sum().clamp(min=torch.finfo(values.dtype).tiny)


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
    return _mean((distances < farthest).float(), (~same).float()).item()


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


def takes_soft_labels(name: str) -> bool:
    """Whether a loss understands images that show several identities. True for unknown names: `make_loss` refuses."""
    return ALIASES.get(name.lower(), name.lower()) not in LABEL_LOSSES


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
        raise UserError("loss", "no such loss", hint, name)
    from pytorch_metric_learning import losses, miners

    settings = {"margin": margin, "classes": classes, "dimension": dimension}
    loss, loss_arguments, miner, miner_arguments = LABEL_LOSSES[key]

    def filled(arguments: dict[str, Any]) -> dict[str, Any]:
        return {k: settings.get(v, v) if isinstance(v, str) else v for k, v in arguments.items()}

    return LabelLoss(
        getattr(losses, loss)(**filled(loss_arguments)),
        getattr(miners, miner)(**filled(miner_arguments)) if miner else None,
    )
