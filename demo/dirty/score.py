"""How much of the planted dirt `clean.py` found: `python -m demo.dirty.score --dirty dirty --run clean_run`.

For each defect: recall, the share of what was planted that the methods in charge flagged; precision, the share of what
these methods flagged that is such a defect; and the share of it that is any planted defect. Of duplicates, a finding is
right where photo and keeper are copies of one photo; of cloned plates, folders are counted, not photos.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.dirty.build import Photo, read
from siamclip.errors import exit_on_user_error

METHODS = {
    "corrupt": ("unreadable",),
    "exact_copy": ("exact",),
    "near_duplicate": ("pixels", "phash", "semantic"),
    "label_conflict": ("label_conflict",),
    "blurred": ("laplacian",),
    "dark": ("under_exposed",),
    "over_exposed": ("over_exposed",),
    "tiny": ("too_small",),
    "extreme_aspect": ("aspect_ratio",),
    "outlier": ("kmeans", "knn"),
    "label_error": ("label_errors",),
    "cloned_plate": ("cloned_plate",),
}


@dataclass(frozen=True)
class Finding:
    path: str
    method: str
    related: str


@dataclass(frozen=True)
class Score:
    defect: str
    planted: int
    found: int
    flagged: int
    right: int
    dirty: int  # of what was flagged, whatever is wrong with it

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else float("nan")

    @property
    def precision(self) -> float:
        return self.right / self.flagged if self.flagged else float("nan")

    @property
    def any_defect(self) -> float:
        return self.dirty / self.flagged if self.flagged else float("nan")


def scores(photos: Sequence[Photo], findings: Sequence[Finding]) -> list[Score]:
    """A row for each defect; `findings` are the flagged ones."""
    return [_score(defect, photos, [f for f in findings if f.method in methods]) for defect, methods in METHODS.items()]


def _score(defect: str, photos: Sequence[Photo], findings: Sequence[Finding]) -> Score:
    if defect in ("exact_copy", "near_duplicate"):
        return _of_copies(defect, photos, findings)
    if defect == "cloned_plate":
        planted = {_folder(photo.path) for photo in photos if photo.defect == defect}
        flagged = {_folder(finding.path) for finding in findings}
        dirty = planted
    else:
        planted = {photo.path for photo in photos if photo.defect == defect}
        flagged = {finding.path for finding in findings}
        dirty = {photo.path for photo in photos if photo.defect not in ("", "cloned_plate")}
    hits = len(planted & flagged)
    return Score(defect, len(planted), hits, len(flagged), hits, len(dirty & flagged))


def _of_copies(defect: str, photos: Sequence[Photo], findings: Sequence[Finding]) -> Score:
    original = {photo.path: photo.source for photo in photos if photo.source and photo.defect != "label_error"}
    planted = {frozenset((p.path, p.source)) for p in photos if p.defect == defect}
    related = [frozenset((finding.path, finding.related)) for finding in findings]
    pairs = set(related)
    right = sum(_root(original, f.path) == _root(original, f.related) for f in findings)
    return Score(defect, len(planted), len(planted & pairs), len(findings), right, right)


def _root(original: dict[str, str], path: str) -> str:
    """The photo that others were copied from; of two that name each other, the first."""
    source = original.get(path, path)
    return min(path, source) if original.get(source) == path else source


def _folder(path: str) -> str:
    return path.split("/", 1)[0]


def flagged(runs: Sequence[Path]) -> list[Finding]:
    """The flagged rows of the findings of several runs; of a method in several runs, those of the last."""
    import pyarrow.parquet

    columns = ["path", "method", "related", "flagged"]
    found: dict[str, list[Finding]] = {}
    for run in runs:
        table = pyarrow.parquet.read_table(run / "findings.parquet", columns=columns).to_pylist()
        found |= {row["method"]: [] for row in table}
        for row in table:
            if row["flagged"]:
                found[row["method"]].append(Finding(row["path"], row["method"], row["related"]))
    return [finding for method in found.values() for finding in method]


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.dirty.score", description=__doc__)
    parser.add_argument("--dirty", type=Path, required=True, help="folder of the dirty collection")
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs of clean.py on its photos")
    options = parser.parse_args()
    from rich.console import Console
    from rich.table import Table

    table = Table("defect", "planted", "found", "recall", "flagged", "precision", "any defect", "methods")
    for score in scores(read(options.dirty), flagged(options.run)):
        counts = (str(score.planted), str(score.found), f"{score.recall:.2f}", str(score.flagged))
        shares = (f"{score.precision:.2f}", f"{score.any_defect:.2f}")
        table.add_row(score.defect, *counts, *shares, ", ".join(METHODS[score.defect]))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
