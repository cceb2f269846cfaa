"""Cloned plates: pairs of photos with one plate text, of two vehicles or of one, as a stratum of their own.

A network that reads the plate scores well on ordinary pairs and calls each of these "same" (the plate-text
shortcut), so the metric of a search for cloned plates is the share of clones that is judged "different".
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from siamclip.data.collection import Collection
from siamclip.data.pairs import Pairs, ranges
from siamclip.data.plate_names import plate_of
from siamclip.errors import UserError
from siamclip.evaluation.measurement.contracts import EvaluationProtocol, MetricWithInterval
from siamclip.evaluation.measurement.measure import with_intervals
from siamclip.metrics.pair_distances import pair_distances

COLUMNS = ("path_a", "path_b", "same", "plate")
SAME = {"1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True)
class ClonedPairs:
    """Pairs among the evaluated photos, and `plates` (P,), the text that both photos of a pair carry.

    missing: named photos that do not exist. outside: rows of photos that exist, but were not evaluated.
    one_folder: rows "other vehicle" whose photos lie in one folder, which ordinary pairs take for one vehicle.
    """

    pairs: Pairs
    plates: np.ndarray
    source: str
    missing: list[str] = field(default_factory=list)
    outside: int = 0
    one_folder: int = 0

    def __len__(self) -> int:
        return len(self.pairs)


def read_cloned_pairs(file: Path, evaluated: Collection) -> ClonedPairs:
    r"""The rows of a CSV `path_a,path_b,same,plate` whose two photos are among the evaluated ones.

    Paths in the CSV are relative to the collection's root, with / or \. Raises UserError for a file that cannot be
    read, a column that is missing, or a `same` that is not 0 or 1.
    """
    number_of = {path: i for i, path in enumerate(evaluated.paths)}
    found: list[tuple[int, int, bool]] = []
    plates: list[str] = []
    missing: dict[str, None] = {}
    outside = 0
    for line, row in _rows(file):
        same = SAME.get(row["same"].strip().lower())
        if same is None:
            raise UserError("cloned_pairs", f"same is {row['same']!r}", "it must be 0 or 1", f"{file}, line {line}")
        a, b = (_relative(row[name], number_of) for name in ("path_a", "path_b"))
        absent = [path for path in (a, b) if path not in number_of and not (evaluated.root / path).is_file()]
        if absent:
            missing.update(dict.fromkeys(absent))
        elif a in number_of and b in number_of:
            found.append((number_of[a], number_of[b], same))
            plates.append(row["plate"])
        else:
            outside += 1
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    pairs = Pairs(table[:, 0], table[:, 1], table[:, 2].astype(bool))
    labels = evaluated.labels
    one_folder = int(np.count_nonzero(~pairs.same & (labels[pairs.first] == labels[pairs.second])))
    return ClonedPairs(pairs, np.array(plates, dtype=str), str(file), list(missing), outside, one_folder)


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV, checked for its columns."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                problem = f"has no column {' and '.join(absent)}"
                raise UserError("cloned_pairs", problem, f"its first line must be {','.join(COLUMNS)}", file)
            return [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError("cloned_pairs", f"cannot be read ({error.strerror})", "check the path", file) from None
    except csv.Error as error:
        raise UserError("cloned_pairs", f"is not a CSV file ({error})", value=file) from None


def _relative(path: str, known: dict[str, int]) -> str:
    r"""As `paths` are written; a \ separates folders unless a photo has it in its name."""
    return path if path in known else str(PurePosixPath(path.replace("\\", "/")))


def pairs_by_plate(evaluated: Collection) -> ClonedPairs:
    """All pairs of photos within each plate that two or more identities share by their names."""
    labels = evaluated.labels
    starts, counts = ranges(labels)
    members: dict[str, list[int]] = {}
    for identity, name in enumerate(evaluated.identities):
        members.setdefault(plate_of(name), []).append(identity)
    firsts, seconds, names = [], [], []
    for plate, identities in members.items():
        if len(identities) > 1:
            photos = np.concatenate([starts[i] + np.arange(counts[i]) for i in identities])
            a, b = np.triu_indices(len(photos), k=1)
            firsts.append(photos[a])
            seconds.append(photos[b])
            names.append(np.full(len(a), plate))
    if not names:
        none = np.empty(0, np.int64)
        return ClonedPairs(Pairs(none, none, none.astype(bool)), none.astype(str), "folder names")
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    pairs = Pairs(first, second, labels[first] == labels[second])
    return ClonedPairs(pairs, np.concatenate(names), "folder names (PLATE and PLATE~2 are two vehicles)")


def clone_metrics(
    embeddings: np.ndarray, cloned: ClonedPairs, threshold: float, protocol: EvaluationProtocol
) -> tuple[np.ndarray, dict[str, MetricWithInterval]]:
    """Distances (P,) float64 in [0, 2], and the shares that are judged right at `threshold`: clones_judged_different,
    same_judged_same. Intervals are from a bootstrap over plates; nan where a kind of pair is absent.
    """
    pairs = cloned.pairs
    distances = pair_distances(embeddings, np.stack([pairs.first, pairs.second], axis=1)).astype(np.float64)
    accepted, same = distances <= threshold, pairs.same

    def share(weights: np.ndarray, right: np.ndarray) -> float:
        return float(weights[right].sum() / weights.sum()) if weights.sum() > 0 else float("nan")

    def statistic(weights: np.ndarray) -> dict[str, float]:
        return {
            "clones_judged_different": share(weights[~same], ~accepted[~same]),
            "same_judged_same": share(weights[same], accepted[same]),
        }

    return distances, with_intervals(statistic, cloned.plates, cloned.plates, protocol.replicates, protocol.seed)
