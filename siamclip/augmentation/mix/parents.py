"""Which photos of a folder are mixed: one at random, and a partner at random or by similarity."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from siamclip.augmentation.mix.similarity import draw_partners
from siamclip.errors import UserError

BLOCK = 8192  # photos whose similarity to one is computed at once: of 512 numbers each, 32 MiB in float64

LogWeights = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Parents:
    """Rows of the collection; `second` is None for a photo alone."""

    first: int
    second: int | None
    similarity: float  # cosine of the embeddings; NaN without them


@dataclass(frozen=True)
class Pool:
    """Photos that can be drawn: each with the others of its group."""

    groups: list[np.ndarray]  # rows, two or more each
    left_out: int  # photos that are alone in their group

    @property
    def ordered_pairs(self) -> int:
        return sum(len(group) * (len(group) - 1) for group in self.groups)


def pool_of_pairs(labels: np.ndarray, readable: np.ndarray, across_classes: bool) -> Pool:
    """Of photos with labels (N,), those in the mask `readable`: with others of their identity, or with all.

    Raises UserError where no photo has another to be mixed with.
    """
    rows = np.flatnonzero(readable)
    if across_classes:
        groups = [rows]
    else:
        order = rows[np.argsort(labels[rows], kind="stable")]
        groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    large = [group for group in groups if len(group) > 1]
    if not large:
        if across_classes:
            raise UserError("input_dir", f"{len(rows)} photos could be read", "mixing needs two")
        problem = f"none of its folders has two photos that could be read ({len(rows):,} in all)"
        raise UserError("input_dir", problem, "`across_classes` mixes photos of different folders")
    return Pool(large, len(rows) - sum(map(len, large)))


def draw_parents(
    pool: Pool,
    number: int,
    seed: int,
    *,
    one_each: bool,
    vectors: np.ndarray | None = None,
    log_weights: LogWeights | None = None,
    advance: Callable[[int], Any] = lambda done: None,
) -> list[Parents]:
    """`number` ordered pairs. The first photo is any of the pool; the second any other of its group, or with
    `log_weights` by these: of one photo to all others of the group at a time, so that no N x N matrix comes to be.

    FusionPair k is drawn from (seed, k). With `one_each` no pair comes twice; raises UserError where there are too few.
    `vectors`: float32 (N, D) unit embeddings. `advance` is called with the number of pairs since its last call.
    """
    if one_each and number > pool.ordered_pairs:
        more = "; `across_classes` gives more" if pool.left_out or len(pool.groups) > 1 else ""
        problem = "with this method two photos always give the same image, and there are "
        problem += f"{pool.ordered_pairs:,} ordered pairs"
        raise UserError("number", problem, f"ask for no more{more}", number)
    group_of = {int(row): group for group in pool.groups for row in group}
    available = sorted(group_of)
    partners: defaultdict[int, list[int]] = defaultdict(list)  # that a photo has had
    features = None if vectors is None else torch.from_numpy(vectors)
    drawn = []
    for k in range(number):
        rng = np.random.default_rng([seed, k, 0])
        first = available[rng.integers(len(available))]
        group = group_of[first]
        others = group[~np.isin(group, [first, *partners[first]])]
        if log_weights is None or features is None:
            second = int(others[rng.integers(len(others))])
        else:
            blocks = [features[others[start : start + BLOCK]] for start in range(0, len(others), BLOCK)]
            logs = torch.cat([log_weights(features[first], block) for block in blocks])
            second = int(others[draw_partners(logs.softmax(0)[None], rng)[0]])
        if one_each:
            partners[first].append(second)
            if len(others) == 1:
                available.remove(first)
        drawn.append(Parents(first, second, _cosine(vectors, first, second)))
        advance(1)
    return drawn


def draw_single(
    readable: np.ndarray, number: int, seed: int, advance: Callable[[int], Any] = lambda done: None
) -> list[Parents]:
    """`number` photos of the mask (N,) in an order that `seed` decides, all of them before any comes again."""
    rows = np.flatnonzero(readable)
    order: np.ndarray = rows[:0]
    drawn = []
    for k in range(number):
        if k % len(rows) == 0:
            order = np.random.default_rng([seed, k, 0]).permutation(rows)
        drawn.append(Parents(int(order[k % len(rows)]), None, float("nan")))
        advance(1)
    return drawn


def _cosine(vectors: np.ndarray | None, first: int, second: int) -> float:
    return float("nan") if vectors is None else float(vectors[first].astype(np.float64) @ vectors[second])
