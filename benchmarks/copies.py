"""Which edits of a photo each method still recognises: the tables of docs/cleaning.md.

python benchmarks/copies.py --photos FOLDER --number 300     # eight edits of each of 300 photos, drawn at random
python benchmarks/copies.py --groups groups.csv              # edited copies that exist: columns file, group, transform

With --photos: each edited photo is looked for among the originals; it is found if the nearest one is its own and lies
within the method's default threshold. "at precision" is the share found at the largest threshold at which that share
of the answers is right, as the perception package's benchmark states it. With --groups: all pairs of files;
precision and recall of the pairs that the method reports at its default threshold.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.dirty.defects import COPIES, jpeg
from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.data.image.decode import decode
from siamclip.data.walk import photos_below
from siamclip.errors import ImageError, exit_on_user_error
from siamclip.methods import load_target

if TYPE_CHECKING:
    from rich.table import Table

    from siamclip.embedding.embedder import Embedder

HASHES = ("phash8", "ahash8", "dhash8", "whash8", "phash16", "ahash16", "dhash16", "whash16")
BLOCK = 512  # edited photos whose distances to all originals are in memory at once


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photos to edit")
    parser.add_argument("--groups", type=Path, help="a CSV of photos and their groups, beside the photos")
    parser.add_argument("--number", type=int, default=300, help="photos to edit (default 300)")
    parser.add_argument("--precision", type=float, default=0.999, help="the fixed precision (default 0.999)")
    parser.add_argument("--embedder", default="efficientnet-lite0", help="for semantic (default efficientnet-lite0)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if (arguments.photos is None) == (arguments.groups is None):
        parser.error("give --photos or --groups")
    from rich.console import Console

    from siamclip.embedding.embedder import open_embedder

    embedder = open_embedder(arguments.embedder, Path("checkpoints"))[0]
    with tempfile.TemporaryDirectory() as folder:
        if arguments.groups is not None:
            photos = scanned(arguments.groups.parent, Path(folder) / "run", embedder)
            table = of_groups(photos, arguments.groups)
        else:
            made = Path(folder) / "photos"
            write_edits(arguments.photos, made, arguments.number, np.random.default_rng(arguments.seed))
            table = of_edits(scanned(made, Path(folder) / "run", embedder), arguments.precision)
    Console(width=150).print(table)


def scanned(folder: Path, run: Path, embedder: Embedder) -> PhotoTable:
    from siamclip.cleaning.scan.scan import scan_collection
    from siamclip.cleaning.scan.table.photo_table import open_photos

    scan_collection(
        folder,
        RunFolder(run),
        scorers=("file", "pixels", "perceptual", "perceptual16", "orientations"),
        embedder=embedder,
    )
    return open_photos(RunFolder(run), layout="flat")


# -- edits that are made here -----------------------------------------------------------------------------------------


def write_edits(source: Path, folder: Path, number: int, generator: np.random.Generator) -> None:
    """`folder`/original/n.png and `folder`/<edit>/n.jpg of `number` photos."""
    files = photos_below(source)
    for name in ("original", *COPIES):
        (folder / name).mkdir(parents=True)
    written = 0
    for index in generator.permutation(len(files)):
        try:
            rgb = decode(files[index])
        except ImageError:
            continue
        (folder / "original" / f"{written:05}.jpg").write_bytes(jpeg(rgb, 95))
        for name, edit in COPIES.items():
            (folder / name / f"{written:05}.jpg").write_bytes(jpeg(edit(rgb, generator), 85))
        written += 1
        if written == number:
            return


def of_edits(photos: PhotoTable, precision: float) -> Table:
    from rich.table import Table

    kind = np.array([path.split("/")[0] for path in photos.paths])
    number = np.array([path.split("/")[1][:5] for path in photos.paths])
    originals = np.flatnonzero(kind == "original")
    table = Table("method", *COPIES, "all", f"at precision {precision}", "threshold")
    for name, threshold in (*((hash_, _threshold(hash_)) for hash_ in HASHES), ("semantic", _threshold("semantic"))):
        nearest, distance = np.empty(len(photos), np.int64), np.full(len(photos), np.inf)
        edited = np.flatnonzero(kind != "original")
        for start in range(0, len(edited), BLOCK):
            rows = edited[start : start + BLOCK]
            distances = _distances(photos, name, rows, originals)
            nearest[rows], distance[rows] = originals[distances.argmin(1)], distances.min(1)
        right = number[nearest[edited]] == number[edited]
        found = right & (distance[edited] <= threshold)
        shares = [f"{found[kind[edited] == edit].mean():.2f}" for edit in COPIES]
        at, limit = at_precision(distance[edited], right, precision)
        table.add_row(name, *shares, f"{found.mean():.2f}", f"{at:.2f}", f"{limit:.3g}")
    return table


def at_precision(distance: np.ndarray, right: np.ndarray, precision: float) -> tuple[float, float]:
    """(recall, threshold) at the largest threshold whose answers are right in that share; (0, nan) if there is none."""
    order = np.argsort(distance, kind="stable")
    correct = np.cumsum(right[order])
    answered = np.arange(1, len(order) + 1)
    last_of_value = np.append(np.diff(distance[order]) > 0, True)
    usable = np.flatnonzero(last_of_value & (correct / answered >= precision))
    if not len(usable):
        return 0.0, float("nan")
    return float(correct[usable[-1]] / len(order)), float(distance[order][usable[-1]])


def _distances(photos: PhotoTable, name: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(R, C): Hamming distances, or Euclidean ones between embeddings."""
    if name == "semantic":
        vectors = photos.vectors()
        return np.sqrt(np.maximum(2 - 2 * vectors[rows] @ vectors[columns].T, 0))
    hashes = photos.column(name).reshape(len(photos), -1)
    return np.bitwise_count(hashes[rows][:, None] ^ hashes[columns][None]).sum(-1).astype(np.float64)


def _threshold(name: str) -> float:
    method = name.removesuffix("8")
    value = float(METHODS[method].settings()["threshold"].default)
    return float(np.sqrt(2 - 2 * value)) if method == "semantic" else value


# -- edits that exist -------------------------------------------------------------------------------------------------


def of_groups(photos: PhotoTable, path: Path) -> Table:
    from rich.table import Table

    with path.open(encoding="utf-8", newline="") as file:
        group = {row["file"]: row["group"] for row in csv.DictReader(file)}
    groups = np.array([group.get(name, f"alone {name}") for name in photos.paths])
    for content in np.unique(photos.content):  # groups that share a file of the same bytes show one photo
        together = np.unique(groups[photos.content == content])
        groups[np.isin(groups, together)] = together[0]
    same = groups[:, None] == groups[None]
    readable = photos.readable
    true = same & readable[:, None] & readable[None] & np.tri(len(photos), k=-1, dtype=bool).T
    table = Table("method", "pairs reported", "right", "precision", "recall", title=f"{true.sum()} pairs of copies")
    for method in [method for method in METHODS.values() if method.family == "duplicates"]:
        turns = {"orientations": True} if "orientations" in method.settings() else {}
        for settings in [{}, turns] if turns else [{}]:
            pairs: CopyPairs = load_target(method.target)(photos, **settings)
            right = int(same[pairs.first, pairs.second].sum())
            share = f"{right / len(pairs):.2f}" if len(pairs) else "-"
            name = f"{method.name}{', orientations' if settings else ''}"
            table.add_row(name, str(len(pairs)), str(right), share, f"{right / true.sum():.2f}")
    return table


if __name__ == "__main__":
    main()
