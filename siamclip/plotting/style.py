"""Colours and figures that all plots share: no global state, the Agg renderer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from siamclip.plotting.fonts import set_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Blue and orange stay apart for every kind of colour blindness (Okabe and Ito 2008).
SAME, DIFFERENT, INK, FAINT = "#0072b2", "#d55e00", "#24292f", "#8c959f"
OTHERS = ("#8c959f", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
SIZE, DPI = (6.2, 4.2), 150  # inches


def new_figure() -> tuple[Figure, Axes]:
    figure, axes = new_figures(1, 1, *SIZE)
    return figure, axes


def new_figures(rows: int, columns: int, width: float, height: float, **layout: Any) -> tuple[Figure, Any]:
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


def add_legend(axes: Axes, place: Literal["lower right", "upper right"]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    for text in axes.legend(handles, labels, loc=place, fontsize=8).get_texts():
        text.set_parse_math(False)


def save_figure(figure: Figure, path: Path) -> None:
    for axes in figure.axes:
        axes.title.set_fontsize(11)
        axes.title.set_color(INK)
        if (legend := axes.get_legend()) is not None:
            legend.get_frame().set_linewidth(0)
    set_fonts(figure)
    figure.savefig(path, format="png", facecolor="white")
