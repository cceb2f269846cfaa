"""The files of an evaluation: metrics.json first, report.html last, so that no half-written folder looks whole."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siamclip.data.collection import Collection
from siamclip.errors import UserError
from siamclip.evaluation.measurement.cloned_plates import ClonedPairs
from siamclip.evaluation.measurement.contracts import CalibratedThreshold, Measurement, ScoredPairs
from siamclip.evaluation.measurement.worst_errors import worst_errors
from siamclip.evaluation.report import plots
from siamclip.evaluation.report.all_plots import draw_all
from siamclip.evaluation.report.labels import COMPARED
from siamclip.evaluation.report.metrics_json import json_safe
from siamclip.evaluation.report.page import PhotoPair, evaluation_page
from siamclip.files.atomic import write_atomically

METRICS, REPORT = "metrics.json", "report.html"
BLOCK = 10_000  # rows of pairs.csv in memory at once
GALLERY = 12  # pairs of each kind of error on the page


def claim_folder(folder: Path, photos: Sequence[Path]) -> None:
    """Make `folder` ready before the long work. Raises UserError if it cannot be written, holds other things, or lies
    in a folder of photos, where its plots would be taken for an identity.
    """
    for collection in photos:
        if folder.resolve().is_relative_to(collection.resolve()):
            raise UserError("out", f"lies among the photos of {collection}", "choose another folder", folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = any(folder.iterdir()) and not (folder / METRICS).is_file()
    except OSError as error:
        raise UserError("out", f"cannot be used ({error.strerror})", "choose another folder", folder) from None
    if foreign:
        raise UserError("out", "is not empty and holds no earlier report", "choose a new folder", folder)
    if not os.access(folder, os.W_OK):
        raise UserError("out", "cannot be written to", "choose another folder", folder)


def write_evaluation(
    folder: Path,
    results: Mapping[str, Any],
    measurements: Mapping[str, Measurement],
    evaluated: Collection,
    clones: ClonedPairs,
    clone_distances: np.ndarray,
    settings_text: str,
) -> Path:
    """All files of the report; returns the path of its page. Raises UserError where they cannot be written.

    results: what metrics.json holds. measurements: by embedder; the first is the one that is evaluated, and has a
    threshold. clone_distances: (P,) of `clones`.
    """
    own = next(iter(measurements.values()))
    scored, threshold = own.scored, own.threshold
    if threshold is None:
        raise ValueError("the embedder that is evaluated has no threshold")
    try:
        write_metrics(folder, results)
        write_pairs(folder, scored, evaluated.paths, threshold)
        write_comparison(folder, measurements)
        positive_ratio = results["pairs"]["positive_ratio"]
        drawn = draw_all(
            {name: found.scored for name, found in measurements.items()}, threshold, positive_ratio, folder
        )
        clone_plot = None
        if len(clones):
            clone_plot = folder / "cloned_plates.png"
            title, names = "Same plate text", ("same vehicle", "other vehicle")
            plots.distance_histogram(clone_distances, clones.pairs.same, threshold.value, clone_plot, title, names)
        false_accepts, false_rejects = (
            [_photo_pair(scored, threshold, evaluated, position) for position in positions]
            for positions in worst_errors(scored, threshold.value, GALLERY)
        )
        page = evaluation_page(results, drawn, clone_plot, false_accepts, false_rejects, settings_text)
        write_atomically(folder / REPORT, page.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UserError("out", f"cannot be written ({error.strerror or error})", "make room there", folder) from None
    return folder / REPORT


def _photo_pair(scored: ScoredPairs, threshold: CalibratedThreshold, evaluated: Collection, position: int) -> PhotoPair:
    distance = float(scored.distances[position])
    a, b = (evaluated.paths[side[position]] for side in (scored.pairs.first, scored.pairs.second))
    probability = float(threshold.calibration.probability(scored.distances[position]))
    return PhotoPair((evaluated.root / a, evaluated.root / b), (a, b), distance, probability)


def write_metrics(folder: Path, results: Mapping[str, Any]) -> None:
    """metrics.json; an earlier report goes, for it no longer belongs to what lies beside it."""
    (folder / REPORT).unlink(missing_ok=True)
    text = json.dumps(json_safe(results), ensure_ascii=False, indent=1, allow_nan=False)
    write_atomically(folder / METRICS, text.encode("utf-8", "backslashreplace"))


def write_pairs(folder: Path, scored: ScoredPairs, paths: Sequence[str], threshold: CalibratedThreshold) -> None:
    """pairs.csv: every pair with its answer, the nearest first."""

    def rows() -> Iterable[tuple[Any, ...]]:
        pairs = scored.pairs
        for start in range(0, len(pairs), BLOCK):
            block = slice(start, start + BLOCK)
            distances = scored.distances[block]
            columns = (pairs.first[block], pairs.second[block], pairs.same[block], distances)
            probabilities = threshold.calibration.probability(distances)
            for a, b, same, distance, probability in zip(*columns, probabilities, strict=True):
                predicted = int(distance <= threshold.value)
                yield paths[a], paths[b], int(same), f"{distance:.6f}", f"{probability:.6f}", predicted

    header = ("path_a", "path_b", "same", "distance", "probability", "predicted")
    _write_csv(folder / "pairs.csv", header, rows())


def write_comparison(folder: Path, measurements: Mapping[str, Measurement]) -> None:
    """comparison.csv: an embedder a row, each metric of COMPARED with its bounds; empty where undefined."""

    def cell(number: float | None) -> str:
        return "" if number is None or math.isnan(number) else f"{number:.6f}"

    header = ["embedder", "threshold"]
    header += [f"{name}{suffix}" for name in COMPARED for suffix in ("", "_low", "_high")]
    rows = []
    for embedder, found in measurements.items():
        metrics = [found.metrics.get(name) for name in COMPARED]
        numbers = [(m.value, m.low, m.high) if m else (None, None, None) for m in metrics]
        threshold = cell(found.threshold.value if found.threshold else None)
        rows.append([embedder, threshold, *(cell(x) for three in numbers for x in three)])
    _write_csv(folder / "comparison.csv", header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    # A name that is no UTF-8 is written with the bytes that it has on the disk.
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
