"""Precision and recall of every threshold from answers to a sample that was drawn by bins of the distance.

With N pairs in a bin, of which n were answered and k called the same, the bin holds N k / n pairs of copies: the
estimator of stratified sampling (Cochran, "Sampling Techniques", 1977, section 5.3).

    precision(t) = copies within t / pairs within t
    recall(t)    = copies within t / copies within the whole range that was asked about

Recall is relative to that range: copies farther apart than its end are not seen. Answers left out count as not asked.

Intervals: melding (Fay, Proschan and Brittain 2015, "Combining one-sample confidence procedures for inference in the
two-sample case", Biometrics 71). For each bin a lower and an upper confidence distribution of its share of copies is
drawn from; a bound of the whole takes, bin by bin, the distribution that lowers (raises) it. Of one bin they are
Jeffreys' with closed ends (Brown, Cai and DasGupta 2001): none of n leaves 0 possible, all of n leaves 1. What was
answered is known, only the rest of a bin is drawn. Where `population` is itself an estimate its error is not in the
intervals. In simulation with 11 answers in each of 9 or 10 bins, nominal 95% intervals held the truth in 91% to 100%.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_DRAWS = 4000


@dataclass(frozen=True)
class Curve:
    """(B,) each, by bin: the figures of a threshold at the bin's upper end. NaN where there is no answer to tell.

    low and high are bounds of `confidence`; all in [0, 1].
    """

    threshold: np.ndarray
    pairs: np.ndarray  # within the threshold
    precision: np.ndarray
    precision_low: np.ndarray
    precision_high: np.ndarray
    recall: np.ndarray
    recall_low: np.ndarray
    recall_high: np.ndarray


def curve(
    upper: np.ndarray,
    population: np.ndarray,
    answered: np.ndarray,
    same: np.ndarray,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Curve:
    """(B,) each: ends of the bins, pairs in them, answers, and how many of these say "same". No bin may be empty."""
    population = np.maximum(np.asarray(population, np.float64), answered)
    if not (population > 0).all() or (np.asarray(same) > answered).any():
        raise ValueError("every bin holds pairs, and no more of them are the same than were answered")
    pairs = np.cumsum(population)
    with np.errstate(invalid="ignore"):
        copies = population * np.divide(same, answered, out=np.full(len(population), np.nan), where=answered > 0)
        precision = np.cumsum(copies) / pairs
        recall = np.cumsum(copies) / copies.sum()
    low, high = (_drawn(population, answered, same, side, seed) for side in ("low", "high"))
    tail = (1 - confidence) / 2
    within_low, within_high = np.cumsum(low, axis=1), np.cumsum(high, axis=1)
    beyond_low = low.sum(axis=1, keepdims=True) - within_low
    beyond_high = high.sum(axis=1, keepdims=True) - within_high
    return Curve(
        np.asarray(upper, np.float64),
        pairs,
        precision,
        np.quantile(within_low / pairs, tail, axis=0),
        np.quantile(within_high / pairs, 1 - tail, axis=0),
        recall,
        np.quantile(_share(within_low, beyond_high, 0.0), tail, axis=0),
        np.quantile(_share(within_high, beyond_low, 1.0), 1 - tail, axis=0),
    )


def _drawn(population: np.ndarray, answered: np.ndarray, same: np.ndarray, side: str, seed: int) -> np.ndarray:
    """(_DRAWS, B) copies in each bin, from its lower or upper confidence distribution."""
    generator = np.random.default_rng((seed, side == "high"))
    share = generator.beta(same + 0.5, answered - same + 0.5, (_DRAWS, len(population)))
    if side == "low":
        share[:, same == 0] = 0.0
    else:
        share[:, same == answered] = 1.0
    rest = np.rint(population - answered).astype(np.int64)
    return same + generator.binomial(rest, share)


def _share(within: np.ndarray, beyond: np.ndarray, otherwise: float) -> np.ndarray:
    """within / (within + beyond), `otherwise` where there is neither."""
    both = within + beyond
    return np.divide(within, both, out=np.full(both.shape, otherwise), where=both > 0)


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold for a wished precision: a place in the curve, None where no threshold reaches it."""

    wished: float
    estimated: int | None  # the largest threshold whose estimate reaches it
    sure: int | None  # the largest one whose lower bound does


def choose(found: Curve, wished: float) -> ThresholdChoice:
    """The largest thresholds of `found` with a precision of at least `wished`, in (0, 1]."""

    def largest(values: np.ndarray) -> int | None:
        reached = np.flatnonzero(np.nan_to_num(values, nan=-1.0) >= wished)
        return int(reached[-1]) if len(reached) else None

    return ThresholdChoice(wished, largest(found.precision), largest(found.precision_low))
