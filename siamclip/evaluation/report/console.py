"""What an evaluation prints: the table of embedders, the cloned plates, and where the rest is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siamclip.errors import printable
from siamclip.evaluation.report.labels import METRIC_LABELS, threshold_origin

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = ("auc", "eer", "accuracy", "f1", "tar_at_far_0.01", "rank1", "mAP")


def print_results(console: Console, results: Mapping[str, Any], path: Path) -> None:
    """The table of embedders, the cloned plates, and where the rest is."""
    from rich.table import Table
    from rich.text import Text

    photos, pairs, threshold = results["photos"], results["pairs"], results["decision"]
    numbers = f"{pairs['same']:,} same and {pairs['different']:,} different pairs"
    title = f"{photos['identities']:,} {results['side']}, {numbers}"
    table = Table("", title=title, title_style="")
    for row in results["comparison"]:
        table.add_column(Text(printable(row["name"])), overflow="fold")
    thresholds = ("-" if row["threshold"] is None else f"{row['threshold']:.4f}" for row in results["comparison"])
    table.add_row("threshold", *thresholds)
    for name in SHOWN:
        cells = (_with_interval(row["figures"].get(name)) for row in results["comparison"])
        table.add_row(METRIC_LABELS[name], *cells)
    console.print(table)
    clones = results["cloned_plates"]
    lines = [f"threshold {threshold['threshold']:.4f}: {threshold_origin(threshold)}"]
    if clones and clones["pairs"]:
        share = _with_interval(clones["figures"]["clones_judged_different"])
        lines.append(f"cloned plates: {clones['clones']:,} pairs, judged different: {share}")
    if photos["left_out"]:
        lines.append("left out: " + ", ".join(f"{n} {reason}" for reason, n in photos["left_out"].items()))
    lines += [f"note: {text}" for text in results["warnings"]]
    lines.append(f"report: {path}")
    for line in lines:
        console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


def _with_interval(metric: dict[str, float | None] | None) -> str:
    if metric is None or metric["value"] is None:
        return "-"
    bounds = "" if metric["low"] is None else f" ({metric['low']:.3f}-{metric['high']:.3f})"
    return f"{metric['value']:.4f}{bounds}"
