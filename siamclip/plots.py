"""Plots: arrays in, a PNG out. No global state: each function draws on a figure of its own, with the Agg renderer.

Text that no font can draw is left out or marked with "?", so that no picture shows empty boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from siamclip.metrics.calibration import Reliability
from siamclip.metrics.verification import Confusion
from siamclip.plotting.fonts import drawable, set_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange stay apart for every kind of colour blindness (Okabe and Ito 2008).
SAME, DIFFERENT, INK, FAINT = "#0072b2", "#d55e00", "#24292f", "#8c959f"
OTHERS = ("#8c959f", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SIZE, DPI = (6.2, 4.2), 150  # inches
DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8)
DET_LIMITS = (0.00005, 0.95)

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


# -- verification ---------------------------------------------------------------------------------------------


def confusion_matrix(cells: Confusion, path: Path) -> None:
    """Counts of pairs, and beside each the share of its row: of the truly same, of the truly different."""
    figure, axes = _figure()
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
    _save(figure, path)


def distance_histogram(
    distances: np.ndarray,
    same: np.ndarray,
    threshold: float,
    path: Path,
    title: str = "Distances",
    names: tuple[str, str] = ("same", "different"),
) -> None:
    """Densities of (P,) distances in [0, 2], each class scaled to area 1, and the threshold between them."""
    figure, axes = _figure()
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
    _save(figure, path)


def roc_curve(curves: Curves, chosen: tuple[float, float], path: Path) -> None:
    """True over false accept rate of several embedders, name -> (far, tar); the first is drawn in front.

    chosen: (far, tar) of the first one at its threshold. FAR is logarithmic, for that is where systems differ.
    """
    figure, axes = _figure()
    floor = min([float(far[far > 0].min()) for far, _ in curves.values() if (far > 0).any()] + [0.1])
    for name, (far, tar), style in _styled(curves):
        axes.step(np.maximum(far, floor), tar, where="post", label=name, **style)
    axes.plot(max(chosen[0], floor), chosen[1], "o", color=INK, zorder=5, label="at the threshold")
    axes.set_xscale("log")
    axes.set(xlabel="false accept rate", ylabel="true accept rate", title="ROC", xlim=(floor, 1), ylim=(0, 1.02))
    _legend(axes, "lower right")
    _save(figure, path)


def det_curve(curves: Curves, chosen: tuple[float, float], path: Path) -> None:
    """False reject over false accept rate on normal deviate axes (Martin et al. 1997), name -> (far, frr).

    chosen: (far, frr) of the first one at its threshold. Points with a rate of 0 or 1 have no place on such axes.
    """
    from scipy.special import ndtri

    figure, axes = _figure()
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
    _legend(axes, "upper right")
    _save(figure, path)


def precision_recall(
    recall: np.ndarray, precision: np.ndarray, chosen: tuple[float, float], positive_ratio: float, path: Path
) -> None:
    """(K,) precision over recall for a share of `positive_ratio` of same pairs. chosen: (recall, precision)."""
    figure, axes = _figure()
    axes.plot(recall, precision, color=SAME, linewidth=2)
    axes.axhline(positive_ratio, color=FAINT, linewidth=0.8, linestyle=":", label="guessing")
    axes.plot(*chosen, "o", color=INK, zorder=5, label="at the threshold")
    title = f"Precision and recall, {positive_ratio:.0%} of pairs the same"
    axes.set(xlabel="recall", ylabel="precision", title=title, xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(loc="lower left")
    _save(figure, path)


def threshold_sweep(thresholds: np.ndarray, rates: Mapping[str, np.ndarray], threshold: float, path: Path) -> None:
    """Several rates (K,) over (K,) ascending thresholds; the chosen one is marked."""
    figure, axes = _figure()
    colors = (INK, "#009e73", DIFFERENT, SAME)
    for (name, values), color in zip(rates.items(), colors, strict=False):
        axes.plot(thresholds, values, color=color, linewidth=1.6, label=name)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2, label=f"threshold {threshold:.3f}")
    axes.set(xlabel="threshold on the distance", ylabel="rate", title="What another threshold would give")
    axes.set(xlim=(thresholds[0], thresholds[-1]), ylim=(0, 1.02))
    axes.legend()
    _save(figure, path)


def reliability_diagram(reliability: Reliability, path: Path) -> None:
    """Observed against predicted share of "same"; below, how many pairs each bin holds."""
    figure, (axes, below) = _figures(2, 1, *SIZE, height_ratios=(4, 1), sharex=True)
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
    _save(figure, path)


# -- training ---------------------------------------------------------------------------------------------------

# Panel -> (column of the history, its name, color); columns that a history lacks are left out.
TRAINING_PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("Loss", (("loss", "training", INK), ("val_loss", "validation", SAME))),
    ("Validation AUC", (("val_auc", "AUC", SAME),)),
    ("Validation EER", (("val_eer", "EER", DIFFERENT),)),
    ("Learning rate", (("learning_rate", "learning rate", INK),)),
    ("Mean cosine of random pairs (collapse: towards 1)", (("mean_cosine", "mean cosine", "#cc79a7"),)),
    ("Effective rank (collapse: towards 1)", (("effective_rank", "effective rank", "#009e73"),)),
    ("Share of active negatives", (("active_negatives", "active negatives", "#e69f00"),)),
)


def training_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """One row an epoch, each with "epoch" and any of the columns of TRAINING_PANELS. Raises ValueError if empty."""
    if not history:
        raise ValueError("the history is empty: there is nothing to draw")
    present = {name for row in history for name in row}
    panels = [
        (title, lines) for title, every in TRAINING_PANELS if (lines := [line for line in every if line[0] in present])
    ]
    rows = -(-len(panels) // 2)
    figure, grid = _figures(rows, 2, 10, 2.6 * rows, squeeze=False)
    for axes, (title, lines) in zip(grid.flat, panels, strict=False):
        for column, name, color in lines:
            points = [(row["epoch"], row[column]) for row in history if column in row]
            marker = "o" if len(points) < 3 else ""
            axes.plot(*zip(*points, strict=True), color=color, linewidth=1.6, marker=marker, label=name)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(lines) > 1:
            axes.legend()
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    _save(figure, path)


# -- one answer ---------------------------------------------------------------------------------------------------


def comparison_figure(
    photo_a: np.ndarray, photo_b: np.ndarray, title: str, path: Path, captions: tuple[str, str] | None = None
) -> None:
    """Two photos, uint8 (H, W, 3), side by side under the answer.

    A caption, such as a file's name, is left out if no font has all of its characters.
    """
    figure, grid = _figures(1, 2, 9, 4.8)
    for axes, photo, caption in zip(grid, (photo_a, photo_b), captions or ("", ""), strict=True):
        axes.imshow(photo)
        axes.set_axis_off()
        if drawable(caption) == caption:
            axes.set_title(caption, size=9, color=INK, parse_math=False)
    figure.suptitle(drawable(title), size=14, color=INK, parse_math=False)
    _save(figure, path)


# -- the look ---------------------------------------------------------------------------------------------------


def _figure() -> tuple[Figure, Axes]:
    figure, axes = _figures(1, 1, *SIZE)
    return figure, axes


def _figures(rows: int, columns: int, width: float, height: float, **layout: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(rows, columns, **layout)
    for axes in np.ravel(grid):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[:].set_color(FAINT)
        axes.grid(color="#eaeef2", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=INK, labelsize=9)
    return figure, grid


def _styled(curves: Curves) -> list[tuple[str, tuple[np.ndarray, np.ndarray], dict[str, Any]]]:
    """The first curve bold and in front, the others thin."""
    styles = [{"color": SAME, "linewidth": 2.2, "zorder": 4}]
    styles += [{"color": OTHERS[i % len(OTHERS)], "linewidth": 1.2} for i in range(len(curves) - 1)]
    return [(drawable(name), curve, style) for (name, curve), style in zip(curves.items(), styles, strict=True)]


def _legend(axes: Axes, place: Literal["lower right", "upper right"]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    for text in axes.legend(handles, labels, loc=place, fontsize=8).get_texts():
        text.set_parse_math(False)


def _save(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.title.set_fontsize(11)
        axes.title.set_color(INK)
        if (legend := axes.get_legend()) is not None:
            legend.get_frame().set_linewidth(0)
    set_fonts(figure)
    figure.savefig(path, format="png", facecolor="white")
