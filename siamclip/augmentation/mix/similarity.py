"""How alike two photos are, one number in [0, 1] a pair, from their feature vectors; and partners drawn by it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

Measure = Literal["cosine", "euclidean", "kl"]

_LOG_OF_ZERO = -1e300  # so that a similarity of 0 is never drawn, but where there is nothing else


def log_similarities(first: torch.Tensor, others: torch.Tensor, measure: Measure, temperature: float) -> torch.Tensor:
    """Logarithms, float64 (A, N) in [-inf, 0], of the similarities in [0, 1] of features (A, D) to features (N, D).

    cosine: (1 + cos) / 2. euclidean: 1 / (1 + d). kl: exp(-(KL(p || q) + KL(q || p)) / 2) in nats, where p and q are
    the softmaxes of the features divided by `temperature`, which the other two do not read: of unit vectors of 1280
    numbers, 0.05 spreads similarities as cosine does, with 1 all are above 0.99. Equal features have
    similarity 1. Logarithms, because exp(-KL) of unlike photos may be smaller than any float.
    """
    first, others = first.double(), others.double()
    if measure == "euclidean":
        return -torch.cdist(first, others, compute_mode="donot_use_mm_for_euclid_dist").log1p()
    if measure == "cosine":
        cosine = torch.nn.functional.normalize(first, dim=1) @ torch.nn.functional.normalize(others, dim=1).T
        return ((1 + cosine.clamp(-1, 1)) / 2).log()
    log_p, log_q = first.div(temperature).log_softmax(1), others.div(temperature).log_softmax(1)
    p, q = log_p.exp(), log_q.exp()
    own = (p * log_p).sum(1)[:, None] + (q * log_q).sum(1)  # sum p log p + sum q log q
    return -(own - p @ log_q.T - log_p @ q.T).clamp(min=0) / 2


def log_weights(log_similarity: torch.Tensor, preference: float) -> torch.Tensor:
    """Logarithms of weights in proportion to similarity ** preference, all finite: where every similarity is 0, all
    weigh the same."""
    return preference * log_similarity.clamp(min=_LOG_OF_ZERO)


def partner_log_weights(
    first: torch.Tensor,
    others: torch.Tensor,
    *,
    similarity: Measure = "cosine",
    temperature: float = 0.05,
    preference: float = 1.0,
) -> torch.Tensor:
    """float64 (N,): how probable each of `others` (N, D) is as the partner of `first` (D,), by `log_weights`.

    Of each by itself, so that a collection may come in parts; the probabilities are the softmax of all.
    """
    return log_weights(log_similarities(first[None], others, similarity, temperature)[0], preference)


def draw_partners(weights: torch.Tensor, rng: np.random.Generator) -> np.ndarray:
    """int64 (A,): an index a row of probabilities (A, N), by the inverse of their cumulative sum."""
    cumulative = weights.cpu().numpy().cumsum(axis=1)
    # Below the row's own sum, which rounding may put a little beside 1.
    level = rng.random(len(cumulative)) * cumulative[:, -1]
    return (cumulative > level[:, None]).argmax(axis=1)
