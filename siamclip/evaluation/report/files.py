"""The files of an evaluation: metrics.json first, report.html last, so that no half-written folder looks whole."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from siamclip.errors import UserError
from siamclip.evaluation.measure import Decision, Measured, ScoredPairs
from siamclip.files.atomic import write_atomically

METRICS, REPORT = "metrics.json", "report.html"
BLOCK = 10_000  # rows of pairs.csv in memory at once


def claim_folder(folder: Path, photos: Sequence[Path]) -> None:
    """Make `folder` ready before the long work. Raises UserError if it cannot be written, holds other things, or lies
    in a folder of photos, where its plots would be taken for an identity.
    """
    for collection in photos:
        if folder.resolve().is_relative_to(collection.resolve()):
            raise UserError(f"--out {folder}: lies among the photos of {collection}; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = any(folder.iterdir()) and not (folder / METRICS).is_file()
    except OSError as error:
        raise UserError(f"--out {folder}: cannot be used ({error.strerror}); choose another folder") from None
    if foreign:
        raise UserError(f"--out {folder}: is not empty and holds no earlier report; choose a new folder")
    if not os.access(folder, os.W_OK):
        raise UserError(f"--out {folder}: cannot be written to; choose another folder")


def write_metrics(folder: Path, results: Mapping[str, Any]) -> None:
    """metrics.json; an earlier report goes, for it no longer belongs to what lies beside it."""
    (folder / REPORT).unlink(missing_ok=True)
    text = json.dumps(json_safe(results), ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / METRICS, text.encode("utf-8", "backslashreplace"))


def json_safe(value: Any) -> Any:
    """The same with null for nan, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_pairs(folder: Path, scored: ScoredPairs, paths: Sequence[str], decision: Decision) -> None:
    """pairs.csv: every pair with its answer, the nearest first."""

    def rows() -> Iterable[tuple[Any, ...]]:
        pairs = scored.pairs
        for start in range(0, len(pairs), BLOCK):
            block = slice(start, start + BLOCK)
            distances = scored.distances[block]
            columns = (pairs.first[block], pairs.second[block], pairs.same[block], distances)
            probabilities = decision.calibration.probability(distances)
            for a, b, same, distance, probability in zip(*columns, probabilities, strict=True):
                predicted = int(distance <= decision.threshold)
                yield paths[a], paths[b], int(same), f"{distance:.6f}", f"{probability:.6f}", predicted

    header = ("path_a", "path_b", "same", "distance", "probability", "predicted")
    _write_csv(folder / "pairs.csv", header, rows())


def write_comparison(folder: Path, measured: Mapping[str, Measured], figures: Sequence[str]) -> None:
    """comparison.csv: an embedder a row, each figure with its bounds; empty where undefined."""

    def cell(number: float | None) -> str:
        return "" if number is None or math.isnan(number) else f"{number:.6f}"

    header = ["embedder", "threshold"]
    header += [f"{name}{suffix}" for name in figures for suffix in ("", "_low", "_high")]
    rows = []
    for name, found in measured.items():
        known = [found.figures.get(figure) for figure in figures]
        numbers = [(f.value, f.low, f.high) if f else (None, None, None) for f in known]
        rows.append([name, cell(found.threshold), *(cell(x) for three in numbers for x in three)])
    _write_csv(folder / "comparison.csv", header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    # A name that is no UTF-8 is written with the bytes that it has on the disk.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_report(folder: Path, page: str) -> Path:
    write_atomically(folder / REPORT, page.encode("utf-8", "backslashreplace"))
    return folder / REPORT
