"""How every quality method judges: one value a photo against limits, absolute or relative to the collection.

An absolute limit that would throw away more than `max_share` of the photos says more about the limit than about
the photos: the method is then *questioned*, proposes no removal, and names the limit that would flag 5%.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from siamclip.cleaning.contracts import Findings, PhotoTable, findings
from siamclip.errors import UserError

_SUGGESTED_SHARE = 0.05


def number(value: float, digits: int = 4) -> str:
    return f"{value:,.0f}" if 10**digits <= abs(value) < 1e15 else f"{value:.{digits}g}"


def as_percent(value: float, digits: int = 4) -> str:
    return f"{100 * value:.{digits}g}%"


@dataclass(frozen=True)
class Limit:
    """One end of the range of good values: `side` "below" flags values < `value`, "above" values > `value`.

    `setting` is its name on the command line and `fault` what a flagged photo is called; `low` and `high` are
    the values that the setting may take (inclusive), `text` writes one in words, with so many digits.
    """

    setting: str
    value: float
    fault: str
    side: str
    low: float = -math.inf
    high: float = math.inf
    text: Callable[[float, int], str] = number

    def broken_by(self, values: np.ndarray, limit: float | None = None) -> np.ndarray:
        """Bool, like `values`; NaN breaks no limit."""
        limit = self.value if limit is None else limit
        return values < limit if self.side == "below" else values > limit


def findings_beyond(
    photos: PhotoTable,
    method: str,
    measure: str,
    values: np.ndarray,
    limits: Sequence[Limit],
    percentile: float | None,
    max_share: float,
    describe: Callable[[int], str] | None = None,
) -> Findings:
    """Findings for the photos whose value breaks one of `limits`, worst proposals included.

    `values` (N,), one a row of `photos`; rows that are unreadable, archived or NaN are not judged. With
    `percentile` p the limits are replaced by those that flag at most p percent of the photos, in equal parts
    where there are two. `describe` gives the measured value of a row in words; by default `measure` and the number.
    Notes: judged, share, suggestion and, where it applies, questioned. Raises UserError for settings out of range.
    """
    _check(method, limits, percentile, max_share)
    values = np.asarray(values, np.float64)
    rows = np.flatnonzero(photos.readable & ~photos.is_archived & np.isfinite(values))
    order = np.sort(values[rows])
    bounds = [limit.value for limit in limits] if percentile is None else cut_offs(order, limits, percentile / 100)
    broken = [limit.broken_by(values[rows], bound) for limit, bound in zip(limits, bounds, strict=True)]
    flagged = np.logical_or.reduce(broken)
    notes: dict[str, str | float | int] = {"judged": len(rows)}
    keep = False
    if len(rows):
        share = float(flagged.mean())
        suggestion = _suggestion(order, limits)
        notes |= {"share": share, "suggestion": f"{suggestion} would flag at most {_SUGGESTED_SHARE:.0%}"}
        keep = percentile is None and share > max_share
        if keep:
            notes["questioned"] = (
                f"{_named(limits, bounds)} flags {share:.0%} of the photos ({int(flagged.sum()):,} of {len(rows):,}), "
                f"more than {max_share:.0%}, so none is proposed for removal; {notes['suggestion']}"
            )
    worst = None if percentile is None else percentile / len(limits)
    reasons: list[str] = [""] * len(rows)
    for limit, bound, bad in zip(limits, bounds, broken, strict=True):
        bad_rows = np.flatnonzero(bad)
        ranks = _share_beyond(order, values[rows[bad_rows]], limit.side)
        for position, rank in zip(bad_rows.tolist(), ranks.tolist(), strict=True):
            value = float(values[rows[position]])
            shown, shown_bound = _told_apart(limit, value, bound)
            said = describe(int(rows[position])) if describe else f"{measure} {shown}"
            reasons[position] = f"{limit.fault}: {said}, {_beyond(limit, shown_bound, worst)}{_rank(limit, rank)}"
    chosen = rows[flagged]
    spoken = [reason for reason in reasons if reason]
    return findings(method, chosen, values[chosen], spoken, keep=keep, notes=notes)


def cut_offs(order: np.ndarray, limits: Sequence[Limit], share: float) -> list[float]:
    """The value of each limit at which all of them together flag at most `share` of the sorted values `order`.

    floor(share N / number of limits) values lie beyond each, fewer where values repeat.
    """
    if not len(order):
        return [limit.value for limit in limits]
    beyond = min(math.floor(share * len(order) / len(limits) + 1e-9), len(order) - 1)
    return [float(order[beyond if limit.side == "below" else len(order) - 1 - beyond]) for limit in limits]


def _check(method: str, limits: Sequence[Limit], percentile: float | None, max_share: float) -> None:
    for limit in limits:
        if not (math.isfinite(limit.value) and limit.low <= limit.value <= limit.high):
            expected = {
                (True, True): f"from {limit.low:g} to {limit.high:g}",
                (True, False): f"{limit.low:g} or more",
                (False, True): f"{limit.high:g} or less",
                (False, False): "a finite number",
            }[math.isfinite(limit.low), math.isfinite(limit.high)]
            raise UserError("set", f"must be {expected}", value=f"{method}.{limit.setting}={limit.value:g}")
    if len(limits) == 2 and limits[0].value > limits[1].value:
        low, high = limits
        raise UserError(
            "set", f"must not exceed {high.setting}={high.value:g}", value=f"{method}.{low.setting}={low.value:g}"
        )
    if percentile is not None and not 0 < percentile < 100:
        raise UserError("set", "must be between 0 and 100, both excluded", value=f"{method}.percentile={percentile:g}")
    if not 0 <= max_share <= 1:
        raise UserError("set", "must be from 0 to 1", value=f"{method}.max_share={max_share:g}")


def _suggestion(order: np.ndarray, limits: Sequence[Limit]) -> str:
    return _named(limits, cut_offs(order, limits, _SUGGESTED_SHARE))


def _named(limits: Sequence[Limit], bounds: Sequence[float]) -> str:
    return " with ".join(f"{limit.setting} {limit.text(bound, 4)}" for limit, bound in zip(limits, bounds, strict=True))


def _told_apart(limit: Limit, value: float, bound: float) -> tuple[str, str]:
    """Both in words, with enough digits for them to differ: 99.9996 is not "100, below 100"."""
    for digits in (4, 6, 9, 17):
        shown, shown_bound = limit.text(value, digits), limit.text(bound, digits)
        if shown != shown_bound:
            break
    return shown, shown_bound


def _beyond(limit: Limit, bound: str, worst: float | None) -> str:
    if worst is None:
        return f"{limit.side} {bound}"
    return f"among the {'lowest' if limit.side == 'below' else 'highest'} {worst:g}% ({limit.side} {bound})"


def _share_beyond(order: np.ndarray, values: np.ndarray, side: str) -> np.ndarray:
    """The share of the collection that is better than each value: strictly higher for "below"."""
    if side == "below":
        return (len(order) - np.searchsorted(order, values, side="right")) / len(order)
    return np.searchsorted(order, values, side="left") / len(order)


def _rank(limit: Limit, share: float) -> str:
    # Cut, not rounded: no photo is lower than 100% of the photos. The 1e-9 undoes 0.29 * 1000 = 289.99...
    shown = math.floor(1000 * share + 1e-9) / 10
    comparison = "lower" if limit.side == "below" else "higher"
    return f"; {comparison} than {shown:g}% of the photos" if shown else ""
