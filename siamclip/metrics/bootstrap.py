"""Confidence intervals from a bootstrap over identities.

Pairs that share an identity are not independent: one odd vehicle spoils all of its pairs at once. Drawing
pairs pretends otherwise and gives intervals several times too narrow. Here identities are drawn with
replacement; a pair of two identities counts as often as both were drawn together, w_i w_j, a pair within one
identity w_i times (in biometrics the subset bootstrap, Bolle, Ratha and Pankanti 2004; for pairs of nodes of
a network the vertex bootstrap, Snijders and Borgatti 1999).

Percentile intervals are too narrow for few identities: of nominal 95% intervals in simulation, 91% (AUC) to
94% (recall) held the true value with 60 identities, 93% to 96% with 200, and about half of those over pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# With more undefined replicates than this the rest no longer stand for the whole.
_MOST_DROPPED = 0.1


@dataclass(frozen=True)
class Interval:
    """low, high: bounds in the statistic's unit; nan if more than a tenth of the replicates was `dropped`."""

    low: float
    high: float
    dropped: int


def identity_bootstrap(
    statistic: Callable[[np.ndarray], dict[str, float]],
    identity_a: np.ndarray,
    identity_b: np.ndarray,
    *,
    replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Percentile interval of each figure that `statistic` gives for (P,) float64 weights of the pairs.

    identity_a, identity_b: (P,) identities of the two photos of each pair, any type; for figures by single
    photo (a retrieval's queries) give the same array twice. `SortedPairs.summary` is made for this:

        pairs = SortedPairs(distances, same)
        identity_bootstrap(lambda weights: pairs.summary(threshold, weights=weights), identity_a, identity_b)

    A replicate in which the statistic raises ValueError, or a figure is nan (no same pair was drawn, say), is
    dropped for that figure and counted. On the pairs as they are `statistic` must be defined: its error is
    passed on. Raises ValueError if there are fewer than two identities.
    """
    if np.shape(identity_a) != np.shape(identity_b) or np.ndim(identity_a) != 1:
        raise ValueError(f"identities must be two (P,), got {np.shape(identity_a)} and {np.shape(identity_b)}")
    names, codes = np.unique(np.concatenate([identity_a, identity_b]), return_inverse=True)
    if len(names) < 2:
        raise ValueError("a bootstrap over identities needs at least two identities")
    a, b = codes.reshape(2, -1)
    within = a == b
    figures = list(statistic(np.ones(len(a))))
    generator = np.random.default_rng(seed)
    values = np.full((replicates, len(figures)), np.nan)
    for replicate in values:
        drawn = generator.integers(len(names), size=len(names))
        times = np.bincount(drawn, minlength=len(names)).astype(np.float64)
        try:
            result = statistic(np.where(within, times[a], times[a] * times[b]))
        except ValueError:
            continue  # undefined here: the row stays nan and is counted as dropped
        replicate[:] = [result[figure] for figure in figures]
    return {figure: _percentile(column, confidence) for figure, column in zip(figures, values.T, strict=True)}


def _percentile(values: np.ndarray, confidence: float) -> Interval:
    kept = values[~np.isnan(values)]
    dropped = len(values) - len(kept)
    if dropped > _MOST_DROPPED * len(values):
        return Interval(float("nan"), float("nan"), dropped)
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high), dropped)
