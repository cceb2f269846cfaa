"""The curves of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from siamclip.plotting.style import DIFFERENT, INK, SAME, new_figures, save_figure

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
    figure, grid = new_figures(rows, 2, 10, 2.6 * rows, squeeze=False)
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
    save_figure(figure, path)
