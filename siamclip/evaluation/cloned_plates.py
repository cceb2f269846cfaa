"""Cloned plates: pairs of photos with one plate text, of two vehicles or of one, as a stratum of their own.

A network that reads the plate scores well on ordinary pairs and calls each of these "same" (the plate-text
shortcut), so the share of clones that is judged "different" is what a search for cloned plates lives by.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from siamclip.data.pairs import Pairs, ranges
from siamclip.errors import UserError
from siamclip.evaluation.measure import Figure, Protocol, with_intervals
from siamclip.metrics.pairs import pair_distances

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


def read_cloned_pairs(file: Path, root: Path, paths: Sequence[str], labels: np.ndarray) -> ClonedPairs:
    r"""The rows of a CSV `path_a,path_b,same,plate` whose two photos are among `paths`, relative to `root`.

    Paths in the CSV are relative to `root`, with / or \. labels: (N,) of `paths`. Raises UserError for a file that
    cannot be read, a column that is missing, or a `same` that is not 0 or 1.
    """
    number_of = {path: i for i, path in enumerate(paths)}
    found: list[tuple[int, int, bool]] = []
    plates: list[str] = []
    missing: dict[str, None] = {}
    outside = 0
    for line, row in _rows(file):
        same = SAME.get(row["same"].strip().lower())
        if same is None:
            raise UserError(f"--cloned_pairs {file}, line {line}: same is {row['same']!r}; it must be 0 or 1")
        a, b = (_relative(row[name], number_of) for name in ("path_a", "path_b"))
        absent = [path for path in (a, b) if path not in number_of and not (root / path).is_file()]
        if absent:
            missing.update(dict.fromkeys(absent))
        elif a in number_of and b in number_of:
            found.append((number_of[a], number_of[b], same))
            plates.append(row["plate"])
        else:
            outside += 1
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    pairs = Pairs(table[:, 0], table[:, 1], table[:, 2].astype(bool))
    one_folder = int(np.count_nonzero(~pairs.same & (labels[pairs.first] == labels[pairs.second])))
    return ClonedPairs(pairs, np.array(plates, dtype=str), str(file), list(missing), outside, one_folder)


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV, checked for its columns."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            absent = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if absent:
                raise UserError(
                    f"--cloned_pairs {file}: has no column {' and '.join(absent)}; "
                    f"its first line must be {','.join(COLUMNS)}"
                )
            return [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"--cloned_pairs {file}: cannot be read ({error.strerror}); check the path") from None
    except csv.Error as error:
        raise UserError(f"--cloned_pairs {file}: is not a CSV file ({error})") from None


def _relative(path: str, known: dict[str, int]) -> str:
    r"""As `paths` are written; a \ separates folders unless a photo has it in its name."""
    return path if path in known else str(PurePosixPath(path.replace("\\", "/")))


def pairs_by_plate(labels: np.ndarray, plates: Sequence[str]) -> ClonedPairs:
    """All pairs of photos within each plate that two or more identities share; plates[c] is that of identity c.

    labels: (N,) sorted, indices into `plates`.
    """
    starts, counts = ranges(labels)
    members: dict[str, list[int]] = {}
    for identity, plate in enumerate(plates):
        members.setdefault(plate, []).append(identity)
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


def judge_clones(
    embeddings: np.ndarray, cloned: ClonedPairs, threshold: float, protocol: Protocol
) -> tuple[np.ndarray, dict[str, Figure]]:
    """Distances (P,) float64, and the shares judged right at `threshold`: clones_judged_different,
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
