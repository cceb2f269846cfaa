"""What the steps found, read from the files that they wrote."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.dirty.build import read
from demo.dirty.score import Score, flagged, scores
from demo.run.steps import DemoFolder

Row = dict[str, str]


@dataclass(frozen=True)
class Rendered:
    """A rendered data set, counted."""

    photos: int
    vehicles: int
    plates: int


@dataclass(frozen=True)
class Training:
    """`sides`: (train, val or test; identities; photos). `history`: a row an epoch, 0 the pretrained network."""

    sides: list[tuple[str, int, int]]
    history: list[dict[str, float]]
    best: dict[str, Any]  # the metadata of the best checkpoint


@dataclass(frozen=True)
class Answer:
    """One of the three answers. `first`, `second`: the photos. `distance`: 0 to 2. `confidence`: 0 to 1."""

    first: Path
    second: Path
    names: tuple[str, str]  # of the photos, as the table of pairs has them
    question: str
    answer: str
    distance: float
    confidence: float

    @property
    def is_right(self) -> bool | None:
        """None where a person is asked to look."""
        if self.answer not in ("same", "different"):
            return None
        return (self.answer == "same") == (self.question == "same vehicle")


@dataclass(frozen=True)
class Cleaned:
    """One run of clean.py. `methods`: name -> (photos flagged, photos to remove), of those that flagged any."""

    photos: int
    unreadable: int
    removed: int
    methods: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Fused:
    """`methods`: name -> what became of its images -> how many. `pairs`: as similar as `threshold`, before limits."""

    threshold: float
    pairs: int
    photos: int
    methods: dict[str, Counter[str]]
    kept: list[Row]  # rows of the manifest, the most similar photos first

    @property
    def fates(self) -> list[str]:
        """kept, then why images were rejected."""
        return sorted(
            {fate for counts in self.methods.values() for fate in counts}, key=lambda fate: (fate != "kept", fate)
        )


def rendered(data: Path) -> Rendered:
    rows = _table(data / "ground_truth.csv")
    return Rendered(len(rows), len({row["vehicle"] for row in rows}), len({row["plate"] for row in rows}))


def training(folder: DemoFolder) -> Training:
    best = json.loads((folder.run / "best" / "metadata.json").read_text("utf-8"))
    photos = Counter(Path(row["path"]).parts[0] for row in _table(folder.data / "ground_truth.csv"))
    sides = [
        (side, len(names := best["split"][side]), sum(photos[name] for name in names))
        for side in ("train", "val", "test")
    ]
    history = [
        {name: float(value) for name, value in row.items() if value}
        for row in _table(folder.training_log / "history.csv")
    ]
    return Training(sides, history, best)


def evaluation(folder: DemoFolder) -> dict[str, Any]:
    """metrics.json, as evaluate.py wrote it."""
    results: dict[str, Any] = json.loads((folder.report / "metrics.json").read_text("utf-8"))
    return results


def answers(folder: DemoFolder) -> list[Answer]:
    return [
        Answer(
            folder.root / row["img1"],
            folder.root / row["img2"],
            (row["img1"], row["img2"]),
            row["question"],
            row["answer"],
            float(row["distance"]),
            float(row["confidence"]),
        )
        for row in _table(folder.answers)
    ]


def cleaned(run: Path) -> Cleaned:
    import pyarrow.parquet

    notes = json.loads((run / "notes.json").read_text("utf-8"))
    table = pyarrow.parquet.read_table(run / "findings.parquet", columns=["method", "flagged", "keep"]).to_pylist()
    methods = {
        name: (
            sum(row["flagged"] for row in table if row["method"] == name),
            sum(not row["keep"] for row in table if row["method"] == name),
        )
        for name in dict.fromkeys(row["method"] for row in table)
    }
    return Cleaned(notes["photos"], notes["unreadable"], notes["to remove"], methods)


def scanned(run: Path) -> tuple[int, int]:
    """(photos, those of them that cannot be read) of a run that has been scanned, whether or not it has findings."""
    import pyarrow.parquet

    errors = pyarrow.parquet.read_table(run / "scan" / "files.parquet", columns=["error"])["error"].to_pylist()
    return len(errors), sum(error != "" for error in errors)


def found(folder: DemoFolder) -> list[Score]:
    """What was planted, and how much of it clean.py found."""
    return scores(read(folder.dirty), flagged([folder.clean, folder.clean_outliers]))


def fused(folder: DemoFolder) -> Fused:
    (chosen,) = (row for row in _table(folder.fused / "thresholds.csv") if row["chosen"] == "True")
    methods: dict[str, Counter[str]] = {}
    kept = []
    for row in _table(folder.fused / "manifest.csv"):
        methods.setdefault(row["method"], Counter())[row["rejected"] or "kept"] += 1
        if not row["rejected"]:
            kept.append(row)
    kept.sort(key=lambda row: -float(row["similarity"]))
    ordered = dict(sorted(methods.items()))
    return Fused(float(chosen["threshold"]), int(chosen["pairs"]), int(chosen["photos"]), ordered, kept)


def _table(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
