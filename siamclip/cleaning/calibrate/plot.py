"""Precision and recall over the threshold, with their intervals."""

from __future__ import annotations

import io

import numpy as np

from siamclip.cleaning.calibrate.calibrate import CalibrationResult, Proposal
from siamclip.plotting.fonts import set_fonts
from siamclip.plotting.style import DIFFERENT, DPI, FAINT, INK, SAME, SIZE


def plot_calibration(proposal: Proposal, result: CalibrationResult) -> bytes:
    """A PNG: estimates as lines with points, 95% intervals as bands, the present and the proposed threshold."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    found = result.curve
    curves = (
        ("precision", found.precision, found.precision_low, found.precision_high, SAME, "o"),
        ("recall", found.recall, found.recall_low, found.recall_high, DIFFERENT, "s"),
    )
    for name, middle, low, high, color, mark in curves:
        axes.fill_between(found.threshold, low, high, color=color, alpha=0.15, linewidth=0)
        axes.plot(found.threshold, middle, color=color, marker=mark, markersize=4, linewidth=1.6, label=name)
    axes.axhline(result.choice.wished, color=FAINT, linestyle=":", linewidth=1)
    axes.axvline(proposal.threshold, color=FAINT, linestyle="--", linewidth=1.2, label=f"now {proposal.threshold:.3g}")
    if result.choice.estimated is not None:
        chosen = float(found.threshold[result.choice.estimated])
        label = f"precision {result.choice.wished:g}: {chosen:.3g}"
        axes.axvline(chosen, color=INK, linestyle="--", linewidth=1.2, label=label)
    axes.set(
        xlabel="threshold on the distance",
        ylabel="share",
        title=f"{proposal.method}: {int(np.sum(result.answered))} answers, 95% intervals",
        ylim=(0, 1.02),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", fontsize=8)
    set_fonts(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor="white")
    return content.getvalue()
