"""The similarity histogram for people: a plot, a table of thresholds on the terminal, rows of a CSV file."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from siamclip.augmentation.pairing.similarity_histogram import SimilarityHistogram
from siamclip.cli.console import with_flags
from siamclip.files.atomic import write_atomically
from siamclip.plotting.fonts import set_fonts
from siamclip.plotting.style import DPI, FAINT, INK, SAME, SIZE

if TYPE_CHECKING:
    from rich.table import Table

THRESHOLD_COLUMNS = ("threshold", "ceiling", "pairs", "photos", "chosen")
_BARS = 80  # at most, over the range that the similarities have


def plot_histogram(histogram: SimilarityHistogram, file: Path) -> None:
    """Histogram PNG of all similarities, the band from threshold to ceiling shaded, its number of pairs in the title.

    Counts are logarithmic where the band would otherwise be too low to be seen: below a tenth of the highest bar.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    edges, counts = _bars(histogram)
    band = histogram.band
    inside = (edges[1:] > histogram.threshold) & (edges[:-1] <= histogram.ceiling)
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(FAINT)
    axes.grid(color="#eaeef2", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9)
    shade = axes.axvspan(histogram.threshold, histogram.ceiling, color=SAME, alpha=0.12, linewidth=0)
    for bound, name, style in ((histogram.threshold, "threshold", "--"), (histogram.ceiling, "ceiling", ":")):
        axes.axvline(bound, color=INK, linestyle=style, linewidth=1.2, label=f"{name} {bound:g}")
    axes.stairs(counts, edges, fill=True, color=FAINT, alpha=0.6)
    blue = axes.stairs(counts, edges, fill=True, color=SAME, alpha=0.8, label="in the band")
    blue.set_clip_path(shade)  # the bounds may lie within a bar
    if counts[inside].max(initial=0) < counts.max() / 10:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    aside = 0.02 * (edges[-1] - edges[0])
    axes.set(xlabel="similarity (cosine of the embeddings)", ylabel="pairs")
    axes.set_xlim(edges[0] - aside, edges[-1] + aside)
    axes.set_title(
        f"{band.pairs:,} of {histogram.pairs:,} pairs in the band, of {band.photos:,} photos", color=INK, size=11
    )
    axes.legend(frameon=False, fontsize=8)
    set_fonts(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", facecolor="white")
    write_atomically(file, picture.getvalue())


def threshold_table(histogram: SimilarityHistogram) -> Table:
    """How many pairs would each threshold give, for the terminal; the chosen one is marked."""
    from rich.table import Column, Table

    table = Table(*(Column(name, justify="right") for name in ("threshold", "pairs", "photos in them")))
    for row in histogram.table():
        name = f"chosen: {row.threshold:g}" if row.chosen else f"{row.threshold:g}"
        table.add_row(name, f"{row.pairs:,}", f"{row.photos:,}", style="bold" if row.chosen else None)
    table.caption = with_flags(f"up to the ceiling {histogram.ceiling:g}; before `max_uses` and `max_pairs`")
    return table


def threshold_rows(histogram: SimilarityHistogram) -> Iterator[Sequence[object]]:
    """Rows of `THRESHOLD_COLUMNS`, for thresholds.csv."""
    for row in histogram.table():
        yield row.threshold, histogram.ceiling, row.pairs, row.photos, row.chosen


def _bars(histogram: SimilarityHistogram) -> tuple[np.ndarray, np.ndarray]:
    """Edges and counts of some tens of bars over the similarities that occur and the band."""
    fine = 2 / len(histogram.counts)
    full = np.flatnonzero(histogram.counts)
    low = min(histogram.edges[full[0]], histogram.threshold)
    high = max(histogram.edges[full[-1] + 1], histogram.ceiling)
    # Fine bins to a bar, such that usual thresholds lie between two bars.
    width = next(w for w in (4, 10, 20, 50, 100) if high - low <= _BARS * w * fine or w == 100)
    first = math.floor((low + 1) / fine / width + 1e-9) * width
    last = min(math.ceil((high + 1) / fine / width - 1e-9) * width, len(histogram.counts))
    places = np.arange(first, last + 1, width)
    sums = np.concatenate([[0], np.cumsum(histogram.counts)])
    return histogram.edges[places], np.diff(sums[places])
