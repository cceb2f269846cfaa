"""What the demo shows of each step on the terminal: at most 120 columns, two screens for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from demo.dirty.score import METHODS, Score
from demo.run import results
from demo.run.steps import DemoFolder
from siamclip.errors import printable
from siamclip.evaluation.report.console import SHOWN
from siamclip.evaluation.report.labels import METRIC_LABELS

Shown = Iterable[RenderableType]
_WIDE = 100  # columns that the table of planted defects needs with its methods


def shown_of(name: str, folder: DemoFolder) -> Shown:
    """The essential results of the step `name`, line by line or as a table."""
    return _SHOWN[name](folder)


def interval(figure: dict[str, float | None] | None) -> str:
    """A figure as evaluate.py prints it: .9358 (0.901-0.963)."""
    if figure is None or figure["value"] is None:
        return "-"
    bounds = "" if figure["low"] is None else f" ({figure['low']:.3f}-{figure['high']:.3f})"
    return f"{figure['value']:.4f}{bounds}"


def evaluation_rows(metrics: dict[str, Any]) -> list[tuple[str, ...]]:
    """(name, the demo's figure, that of the pretrained network) for the threshold and each figure."""
    compared = metrics["comparison"]
    thresholds = ("-" if row["threshold"] is None else f"{row['threshold']:.4f}" for row in compared)
    figures = [(METRIC_LABELS[name], *(interval(row["figures"].get(name)) for row in compared)) for name in SHOWN]
    return [("threshold", *thresholds), *figures]


def score_row(score: Score) -> tuple[str, ...]:
    """defect, planted, found, recall, flagged, precision, any defect, methods"""
    counts = (str(score.planted), str(score.found), f"{score.recall:.2f}", str(score.flagged))
    shares = (f"{score.precision:.2f}", f"{score.any_defect:.2f}")
    return (score.defect, *counts, *shares, ", ".join(METHODS[score.defect]))


SCORE_COLUMNS = ("defect", "planted", "found", "recall", "flagged", "precision", "any defect", "methods")


def _of_rendered(folder: DemoFolder) -> Shown:
    yield _count(results.rendered(folder.data))


def _of_more(folder: DemoFolder) -> Shown:
    yield _count(results.rendered(folder.more))


def _count(data: results.Rendered) -> Text:
    shared = data.vehicles - data.plates
    return _line(f"{data.photos} photos of {data.vehicles} vehicles, {shared} of which carry the plate of another")


def _of_training(folder: DemoFolder) -> Shown:
    trained = results.training(folder)
    sides = (f"{side} {identities} ({photos} photos)" for side, identities, photos in trained.sides)
    yield _line(f"identities: {', '.join(sides)}")
    best, alpha = trained.best, trained.best["wise_ft_alpha"]
    if alpha is not None:
        yield _line(f"WiSE-FT: {alpha:.1f} of the fine-tuned and {1 - alpha:.1f} of the pretrained weights")
    before, after = trained.history[0], best["metrics"]
    # stated at the threshold that validation chose, or in a run with a fixed one at that distance
    accuracy = "accuracy" if "val_accuracy" in after else "accuracy_at_threshold"
    chosen = f"{before['val_threshold']:.4f}" if "val_threshold" in before else ""
    table = _plain("validation", "AUC", "EER", "accuracy", "loss", "threshold")
    for name, metrics, threshold in (
        ("pretrained", before, chosen),
        (f"best, epoch {best['epoch']}", after, f"{best['threshold']['value']:.4f}"),
    ):
        figures = (f"{metrics[f'val_{figure}']:.4f}" for figure in ("auc", "eer", accuracy, "loss"))
        table.add_row(name, *figures, threshold)
    yield table


def _of_evaluation(folder: DemoFolder) -> Shown:
    metrics = results.evaluation(folder)
    photos, pairs, clones = metrics["photos"], metrics["pairs"], metrics["cloned_plates"]
    numbers = f"{pairs['same']:,} same and {pairs['different']:,} different pairs"
    yield _line(f"{photos['identities']:,} {metrics['side']}, {numbers}")
    table = _plain("", *(printable(row["name"]) for row in metrics["comparison"]))
    for row in evaluation_rows(metrics):
        table.add_row(*row)
    yield table
    share = interval(clones["figures"]["clones_judged_different"])
    yield _line(f"cloned plates: {clones['clones']:,} pairs, judged different: {share}")
    yield from (_line(text) for text in metrics["warnings"])


def _of_answers(folder: DemoFolder) -> Shown:
    table = _plain()
    for answer in results.answers(folder):
        names = " | ".join(name.removeprefix("data/vehicles/") for name in answer.names)
        table.add_row(
            answer.answer, f"{answer.distance:.4f}", f"{answer.confidence:.1%}", printable(names), answer.question
        )
    yield table
    threshold = results.training(folder).best["threshold"]
    yield _line(f"threshold {threshold['value']:.4f} ({threshold['rule']} on {threshold['chosen_on']})")


def _of_dirt(folder: DemoFolder) -> Shown:
    photos = results.read(folder.dirty)
    yield _line(f"{len(photos)} photos, {sum(bool(photo.defect) for photo in photos)} of them with a planted defect")


def _of_cleaning(folder: DemoFolder) -> Shown:
    run = results.cleaned(folder.clean)
    yield _line(f"{run.removed} of {run.photos} photos are proposed for removal, {run.unreadable} are unreadable")


def _of_scan(folder: DemoFolder) -> Shown:
    photos, unreadable = results.scanned(folder.clean_outliers)
    yield _line(f"{photos} photos, {unreadable} of them unreadable")


def _of_outliers(folder: DemoFolder) -> Shown:
    run = results.cleaned(folder.clean_outliers)
    yield _line("flagged: " + ", ".join(f"{name} {flagged}" for name, (flagged, _) in run.methods.items()))


def _of_score(folder: DemoFolder) -> Shown:
    yield ScoreTable(results.found(folder))


class ScoreTable:
    """A row for each planted defect; without the methods on a narrow terminal, where every row would take two lines."""

    def __init__(self, scores: list[Score]) -> None:
        self.rows = [SCORE_COLUMNS, *map(score_row, scores)]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = len(SCORE_COLUMNS) if options.max_width >= _WIDE else len(SCORE_COLUMNS) - 1
        table = _plain(*self.rows[0][:shown])
        for row in self.rows[1:]:
            table.add_row(*row[:shown])
        yield table


def _of_fusion(folder: DemoFolder) -> Shown:
    made = results.fused(folder)
    yield _line(f"{made.pairs} pairs of {made.photos} photos have a similarity of {made.threshold} or more")
    table = _plain("", *made.fates)
    for name, counts in made.methods.items():
        table.add_row(name, *(str(counts[fate]) for fate in made.fates))
    yield table


_SHOWN: dict[str, Callable[[DemoFolder], Shown]] = {
    "render": _of_rendered,
    "train": _of_training,
    "evaluate": _of_evaluation,
    "pairs": lambda folder: (),
    "predict": _of_answers,
    "render_more": _of_more,
    "spoil": _of_dirt,
    "clean": _of_cleaning,
    "scan": _of_scan,
    "outliers": _of_outliers,
    "score": _of_score,
    "fuse": _of_fusion,
}


def _line(text: str) -> Text:
    return Text(printable(text))


def _plain(*columns: str) -> Table:
    """A table without lines around it; where no columns are named, its rows say how many there are."""
    named = bool(columns)
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=named)
