"""Two photos and the answer, in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from siamclip.plotting.fonts import drawable
from siamclip.plotting.style import INK, new_figures, save_figure


def comparison_figure(
    photo_a: np.ndarray, photo_b: np.ndarray, title: str, path: Path, captions: tuple[str, str] | None = None
) -> None:
    """Two photos, uint8 (H, W, 3), side by side under the answer.

    A caption, such as a file's name, is left out if no installed font has all of its characters.
    """
    figure, grid = new_figures(1, 2, 9, 4.8)
    for axes, photo, caption in zip(grid, (photo_a, photo_b), captions or ("", ""), strict=True):
        axes.imshow(photo)
        axes.set_axis_off()
        if drawable(caption) == caption:
            axes.set_title(caption, size=9, color=INK, parse_math=False)
    figure.suptitle(drawable(title), size=14, color=INK, parse_math=False)
    save_figure(figure, path)
