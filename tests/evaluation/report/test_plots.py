"""Plots: that each draws what it is given into a PNG, and that no text becomes empty boxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.evaluation.report import plots
from siamclip.metrics.calibration import reliability
from siamclip.metrics.verification import Confusion, roc
from siamclip.prediction.figure import comparison_figure

RNG = np.random.default_rng(0)
SAME = np.arange(400) < 100
DISTANCES = np.where(SAME, RNG.normal(0.5, 0.15, 400), RNG.normal(1.0, 0.15, 400)).clip(0, 2)
CURVE = roc(DISTANCES, SAME)
PHOTO = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8)
EVERY_PLOT: dict[str, Callable[[Path], None]] = {
    "confusion_matrix": lambda path: plots.confusion_matrix(Confusion(90, 20, 280, 10), path),
    "distance_histogram": lambda path: plots.distance_histogram(DISTANCES, SAME, 0.75, path),
    "roc_curve": lambda path: plots.roc_curve({"运行 $a$": (CURVE.far, CURVE.tar)}, (0.1, 0.9), path),
    "det_curve": lambda path: plots.det_curve({"a": (CURVE.far, 1 - CURVE.tar)}, (0.1, 0.1), path),
    "precision_recall": lambda path: plots.precision_recall(CURVE.tar, 1 - CURVE.far, (0.9, 0.8), 0.5, path),
    "threshold_sweep": lambda path: plots.threshold_sweep(CURVE.thresholds, {"accuracy": CURVE.tar}, 0.7, path),
    "reliability_diagram": lambda path: plots.reliability_diagram(reliability(1 - DISTANCES / 2, SAME), path),
    "comparison_figure": lambda path: comparison_figure(PHOTO, PHOTO[:, :20], "same", path, ("a.jpg", "京.jpg")),
}


@pytest.mark.usefixtures("no_chinese_font_installed")
@pytest.mark.parametrize("name", EVERY_PLOT)
def test_each_plot_is_a_picture_with_ink(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph or an empty legend is a warning of matplotlib
        EVERY_PLOT[name](path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 300
    assert (pixels < 128).mean() > 0.001


def test_separated_and_single_class_data_can_be_drawn(tmp_path: Path) -> None:
    distances, same = np.array([0.0, 0.2, 1.0, 1.2]), np.array([True, True, False, False])
    curve = roc(distances, same)
    plots.det_curve({"a": (curve.far, 1 - curve.tar)}, (0.0, 0.0), tmp_path / "det.png")
    plots.roc_curve({"a": (curve.far, curve.tar)}, (0.0, 1.0), tmp_path / "roc.png")
    plots.distance_histogram(distances[2:], same[2:], 0.5, tmp_path / "histogram.png")
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_the_same_data_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("a", "b"):
        plots.confusion_matrix(Confusion(90, 20, 280, 10), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_higher_curve_puts_ink_higher(tmp_path: Path) -> None:
    def height_of_curve(rate: float) -> float:
        path = tmp_path / "sweep.png"
        plots.threshold_sweep(np.array([0.0, 1.0]), {"accuracy": np.array([rate, rate])}, 0.5, path)
        column = np.asarray(Image.open(path).convert("L"))[:, 150]  # left of the title and the threshold's line
        return float(np.flatnonzero(column < 100).min())

    assert height_of_curve(0.9) < height_of_curve(0.4)


def test_captions_that_cannot_be_drawn_are_left_out(tmp_path: Path) -> None:
    captions = {"none": None, "undrawable": ("\ue123.jpg", "\ue123.jpg"), "drawable": ("a.jpg", "b.jpg")}
    for name, pair in captions.items():
        comparison_figure(PHOTO, PHOTO, "same", tmp_path / name, pair)
    pictures = {name: (tmp_path / name).read_bytes() for name in captions}
    assert pictures["undrawable"] == pictures["none"] != pictures["drawable"]


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_chinese_names_of_photos_and_models_are_written(tmp_path: Path) -> None:
    pictures = []
    for plate in ("皖A5577W", "京A5577W"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a missing glyph is a warning of matplotlib
            plots.roc_curve({plate: (CURVE.far, CURVE.tar)}, (0.1, 0.9), tmp_path / "roc.png")
            comparison_figure(PHOTO, PHOTO, "same", tmp_path / "figure.png", (f"{plate}.jpg", "b.jpg"))
        pictures.append([(tmp_path / name).read_bytes() for name in ("roc.png", "figure.png")])
    assert all(first != second for first, second in zip(*pictures, strict=True))


def test_no_global_state_of_matplotlib_is_touched(tmp_path: Path) -> None:
    import matplotlib.pyplot

    plots.confusion_matrix(Confusion(90, 20, 280, 10), tmp_path / "a.png")
    assert matplotlib.pyplot.get_fignums() == []
