"""Plots: arrays in, a PNG out. No global state: each function draws on a figure of its own, with the Agg renderer.

Text that no font can draw is left out or marked with "?", so that no picture shows empty boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.metrics.calibration import Reliability
from siamclip.metrics.verification import Confusion
from siamclip.plotting.fonts import drawable
from siamclip.plotting.style import (
    DIFFERENT,
    FAINT,
    INK,
    OTHERS,
    SAME,
    SIZE,
    add_legend,
    new_figure,
    new_figures,
    save_figure,
)

DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8)
DET_LIMITS = (0.00005, 0.95)

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


def confusion_matrix(cells: Confusion, path: Path) -> None:
    """Counts of pairs, and beside each the share of its row: of the truly same, of the truly different."""
    figure, axes = new_figure()
    counts = np.array([[cells.tp, cells.fn], [cells.fp, cells.tn]], dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    rates = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    axes.imshow(rates, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for (row, column), rate in np.ndenumerate(rates):
        ink = "white" if rate > 0.6 else INK
        axes.text(column, row - 0.08, f"{counts[row, column]:,.0f}", ha="center", va="center", color=ink, size=17)
        axes.text(column, row + 0.16, f"{rate:.2%} of the row", ha="center", va="center", color=ink, size=9)
    axes.set_xticks([0, 1], ["same", "different"])
    axes.set_yticks([0, 1], ["same", "different"], rotation=90, va="center")
    axes.set(xlabel="judged", ylabel="true", title="Confusion matrix")
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.tick_params(length=0)
    save_figure(figure, path)


def distance_histogram(
    distances: np.ndarray,
    same: np.ndarray,
    threshold: float,
    path: Path,
    title: str = "Distances",
    names: tuple[str, str] = ("same", "different"),
) -> None:
    """Densities of (P,) distances in [0, 2], each class scaled to area 1, and the threshold between them."""
    figure, axes = new_figure()
    low, high = float(min(distances.min(), threshold)), float(max(distances.max(), threshold))
    edges = np.linspace(max(0.0, low - 0.02), high + 0.02, 61)
    for chosen, color, name in ((same, SAME, names[0]), (~same, DIFFERENT, names[1])):
        if chosen.any():
            label = f"{name} ({np.count_nonzero(chosen):,} pairs)"
            density, _ = np.histogram(distances[chosen], edges, density=True)
            axes.stairs(density, edges, fill=True, alpha=0.35, color=color, label=label)
            axes.stairs(density, edges, color=color, linewidth=1.2)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"threshold {threshold:.3f}")
    axes.set(xlabel="distance", ylabel="density", title=title, xlim=(edges[0], edges[-1]))
    axes.set_ylim(bottom=0)
    axes.legend()
    save_figure(figure, path)


def roc_curve(curves: Curves, chosen: tuple[float, float], path: Path) -> None:
    """True over false accept rate of several embedders, name -> (far, tar); the first is drawn in front.

    chosen: (far, tar) of the first one at its threshold. FAR is logarithmic, for that is where systems differ.
    """
    figure, axes = new_figure()
    floor = min([float(far[far > 0].min()) for far, _ in curves.values() if (far > 0).any()] + [0.1])
    for name, (far, tar), style in _styled(curves):
        axes.step(np.maximum(far, floor), tar, where="post", label=name, **style)
    axes.plot(max(chosen[0], floor), chosen[1], "o", color=INK, zorder=5, label="at the threshold")
    axes.set_xscale("log")
    axes.set(xlabel="false accept rate", ylabel="true accept rate", title="ROC", xlim=(floor, 1), ylim=(0, 1.02))
    add_legend(axes, "lower right")
    save_figure(figure, path)


def det_curve(curves: Curves, chosen: tuple[float, float], path: Path) -> None:
    """False reject over false accept rate on normal deviate axes (Martin et al. 1997), name -> (far, frr).

    chosen: (far, frr) of the first one at its threshold. Points with a rate of 0 or 1 have no place on such axes.
    """
    from scipy.special import ndtri

    figure, axes = new_figure()
    for name, (far, frr), style in _styled(curves):
        inside = (far > 0) & (far < 1) & (frr > 0) & (frr < 1)
        axes.plot(ndtri(far[inside]), ndtri(frr[inside]), label=name, **style)
    if all(0 < rate < 1 for rate in chosen):
        axes.plot(*ndtri(np.array(chosen)), "o", color=INK, zorder=5, label="at the threshold")
    limits = ndtri(np.array(DET_LIMITS))
    axes.plot(limits, limits, color=FAINT, linewidth=0.8, linestyle=":", label="equal error rates")
    ticks, names = ndtri(np.array(DET_TICKS)), [f"{100 * tick:g}%" for tick in DET_TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(
        xlabel="false accept rate", ylabel="false reject rate", title="Detection error tradeoff",
        xlim=limits, ylim=limits,
    )  # fmt: skip
    add_legend(axes, "upper right")
    save_figure(figure, path)


def precision_recall(
    recall: np.ndarray, precision: np.ndarray, chosen: tuple[float, float], positive_ratio: float, path: Path
) -> None:
    """(K,) precision over recall for a share of `positive_ratio` of same pairs. chosen: (recall, precision)."""
    figure, axes = new_figure()
    axes.plot(recall, precision, color=SAME, linewidth=2)
    axes.axhline(positive_ratio, color=FAINT, linewidth=0.8, linestyle=":", label="guessing")
    axes.plot(*chosen, "o", color=INK, zorder=5, label="at the threshold")
    title = f"Precision and recall, {positive_ratio:.0%} of pairs the same"
    axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    save_figure(figure, path)


def threshold_sweep(thresholds: np.ndarray, rates: Mapping[str, np.ndarray], threshold: float, path: Path) -> None:
    """Several rates (K,) over (K,) ascending thresholds; the chosen one is marked."""
    figure, axes = new_figure()
    colors = (INK, "#009e73", DIFFERENT, SAME)
    for (name, values), color in zip(rates.items(), colors, strict=False):
        axes.plot(thresholds, values, color=color, linewidth=1.6, label=name)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"threshold {threshold:.3f}")
    axes.set(xlabel="threshold on the distance", ylabel="rate", title="What another threshold would give")
    axes.set(xlim=(thresholds[0], thresholds[-1]), ylim=(0, 1.02))
    axes.legend()
    save_figure(figure, path)


def reliability_diagram(reliability: Reliability, path: Path) -> None:
    """Observed against predicted share of "same"; below, how many pairs each bin holds."""
    figure, (axes, below) = new_figures(2, 1, *SIZE, height_ratios=(4, 1), sharex=True)
    full = reliability.count > 0
    centres = (reliability.edges[:-1] + reliability.edges[1:]) / 2
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", linewidth=1, label="perfect")
    axes.plot(reliability.predicted[full], reliability.observed[full], "o-", color=SAME, label="observed")
    axes.set(ylabel="share that is the same", title=f"Reliability, ECE {reliability.ece:.3f}", ylim=(-0.02, 1.02))
    axes.legend(loc="upper left")
    below.bar(centres, reliability.count, width=0.9 * np.diff(reliability.edges), color=FAINT)
    below.set(xlabel='predicted probability of "same"', ylabel="pairs", xlim=(0, 1), yscale="log")
    below.set_ylim(bottom=0.5)
    below.yaxis.set_minor_formatter("")
    save_figure(figure, path)


def _styled(curves: Curves) -> list[tuple[str, tuple[np.ndarray, np.ndarray], dict[str, Any]]]:
    """The first curve bold and in front, the others thin."""
    styles = [{"color": SAME, "linewidth": 2.2, "zorder": 4}]
    styles += [{"color": OTHERS[i % len(OTHERS)], "linewidth": 1.2} for i in range(len(curves) - 1)]
    return [(drawable(name), curve, style) for (name, curve), style in zip(curves.items(), styles, strict=True)]
