"""The histogram as a picture, a table and rows: their numbers are those that were counted."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from siamclip.augmentation.pairing.histogram_plot import (
    THRESHOLD_COLUMNS,
    _bars,
    plot_histogram,
    threshold_rows,
    threshold_table,
)
from siamclip.augmentation.pairing.similarity_histogram import BINS, SimilarityHistogram, similarity_histogram


def histogram_of(
    threshold: float = 0.62, ceiling: float = 0.98, number: int = 60, spread: float = 0.5
) -> SimilarityHistogram:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((1, 32)) + spread * rng.standard_normal((number, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return similarity_histogram(vectors, [np.arange(number)], threshold, ceiling)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def remember(figure: Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", remember)
    return figures


@pytest.mark.parametrize("threshold", [-1.0, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("spread", [0.01, 0.5, 9.0])
def test_bars_hold_every_pair_once(threshold: float, spread: float) -> None:
    histogram = histogram_of(threshold, 0.98, spread=spread)
    edges, counts = _bars(histogram)
    assert counts.sum() == histogram.pairs == 60 * 59 // 2
    assert len(edges) == len(counts) + 1 <= 90
    assert edges[0] - 1e-9 <= threshold < edges[-1] <= 1
    assert edges[-1] >= 0.98 - 1e-9
    for bar in range(len(counts)):
        inside = (histogram.edges[:-1] >= edges[bar] - 1e-9) & (histogram.edges[1:] <= edges[bar + 1] + 1e-9)
        assert counts[bar] == histogram.counts[inside].sum()


def test_the_title_has_the_numbers_of_the_band(tmp_path: Path, drawn: list[Figure]) -> None:
    histogram = histogram_of()
    plot_histogram(histogram, tmp_path / "similarities.png")
    title = drawn[0].axes[0].get_title()
    assert title == f"{histogram.band.pairs:,} of 1,770 pairs in the band, of {histogram.band.photos} photos"
    assert 0 < histogram.band.pairs < 1770
    with Image.open(tmp_path / "similarities.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 500
    assert [file.name for file in tmp_path.iterdir()] == ["similarities.png"]


def test_the_band_is_shaded_and_its_bars_are_coloured(tmp_path: Path) -> None:
    """Blue within the band and none left of it, though the threshold lies within a bar."""
    plot_histogram(histogram_of(threshold=0.8512), tmp_path / "plot.png")
    pixels = np.asarray(Image.open(tmp_path / "plot.png").convert("RGB")).astype(int)
    columns = np.flatnonzero(((pixels[..., 2] - pixels[..., 0]) > 100).sum(axis=0) > 5)
    shaded = np.flatnonzero((np.abs(pixels - [224, 237, 246]).sum(axis=-1) < 12).sum(axis=0) > 20)
    legend = columns < shaded.min() - 5  # its key, on the left
    assert len(columns[~legend]) > 10
    assert columns[~legend].min() >= shaded.min() - 2
    assert columns.max() <= shaded.max() + 2


@pytest.mark.parametrize(("threshold", "scale"), [(0.5, "linear"), (0.91, "log")])
def test_a_low_band_gets_a_logarithmic_axis(threshold: float, scale: str, tmp_path: Path, drawn: list[Figure]) -> None:
    histogram = histogram_of(threshold, spread=0.45)
    assert histogram.band.pairs > 0
    plot_histogram(histogram, tmp_path / "plot.png")
    assert drawn[0].axes[0].get_yscale() == scale


def test_an_empty_band_is_drawn_too(tmp_path: Path) -> None:
    histogram = histogram_of(0.97, 0.98, spread=5.0)
    assert histogram.band.pairs == 0
    plot_histogram(histogram, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_table_and_rows_have_the_same_numbers() -> None:
    histogram = histogram_of()
    rows = list(threshold_rows(histogram))
    assert [row[0] for row in rows] == [0.5, 0.55, 0.6, 0.62, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert [row[-1] for row in rows].index(True) == 3
    assert all(len(row) == len(THRESHOLD_COLUMNS) for row in rows)
    console = Console(file=io.StringIO(), width=80)
    console.print(threshold_table(histogram))
    text = console.file.getvalue()
    for threshold, ceiling, pairs, photos, chosen in rows:
        name = f"chosen: {threshold:g}" if chosen else f" {threshold:g}"
        assert any(name in line and f"{pairs:,} " in line and f"{photos} " in line for line in text.splitlines())
        assert ceiling == 0.98
    assert "ceiling 0.98" in text


def test_bins_are_fine_enough_to_end_at_usual_thresholds() -> None:
    edges = np.linspace(-1, 1, BINS + 1)
    for threshold in np.arange(-100, 101) / 100:
        assert np.abs(edges - threshold).min() < 1e-9
