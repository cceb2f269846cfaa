"""Outliers, label errors and cloned plates that are planted in a collection: how many are found, how many are not.

python benchmarks/consistency.py demo_output/data/vehicles --embedder demo --embedder efficientnet-lite0
python benchmarks/consistency.py PHOTOS --outliers OTHER_PHOTOS --embedder efficientnet-lite0

Outliers: photos of OTHER_PHOTOS among those of PHOTOS, one in 40. Label errors: one photo in 20 in another folder.
Cloned plates: where there are folders PLATE and PLATE~2, their photos in one folder; otherwise two folders drawn at
random as one, for a fifth of them. A plate's folder has as many photos with a second vehicle as without, so that its
size tells nothing. Folders that the checkpoint was trained on ("seen") have figures of their own.
Each figure is the mean over draws.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.method_table import METHODS
from siamclip.data.image.decode import IMAGE_EXTENSIONS
from siamclip.errors import UserError, exit_on_user_error
from siamclip.methods import load_target

OUTLIER_METHODS = ("knn", "kmeans", "dbscan")
SECOND_SHARES = ((4, 4), (5, 3), (6, 2), (7, 1))  # photos of the first and of the second vehicle


@dataclass(frozen=True)
class Collection:
    """vectors: (N, D); folders: (N,) names; seen: the folders that the embedder was trained on."""

    vectors: np.ndarray
    folders: np.ndarray
    seen: frozenset[str]

    def part(self, name: str) -> Collection:
        """ "all", "seen" or "unseen"; a clone is seen where its plate is."""
        known = np.isin(np.char.partition(self.folders, "~")[:, 0], [folder.partition("~")[0] for folder in self.seen])
        kept = {"all": np.ones(len(known), bool), "seen": known, "unseen": ~known}[name]
        return Collection(self.vectors[kept], self.folders[kept], self.seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="one folder an identity")
    parser.add_argument("--outliers", "--strangers", type=Path, help="photos of something else")
    parser.add_argument("--embedder", action="append", help="a model or a checkpoint; may be repeated")
    parser.add_argument("--checkpoint_dir", type=Path, default=Path("demo_output/checkpoints"))
    parser.add_argument("--cache", type=Path, help="folder that keeps the embeddings between runs")
    parser.add_argument("--draws", type=int, default=5)
    arguments = parser.parse_args()
    for name in arguments.embedder or ["efficientnet-lite0"]:
        home = embedded(arguments.photos, name, arguments)
        print(f"\n{name}: {len(home.folders)} photos, {len(np.unique(home.folders))} folders")
        if arguments.outliers:
            others = embedded(arguments.outliers, name, arguments)
            outliers(home, others.vectors, arguments.draws)
        parts = ("seen", "unseen", "all") if home.seen else ("all",)
        for part in parts:
            label_errors(home.part(part), part, arguments.draws)
        for part in parts:
            cloned_plates(home.part(part), part, arguments.draws)


def embedded(root: Path, name: str, arguments: argparse.Namespace) -> Collection:
    from siamclip.embedding.embedder import open_embedder
    from siamclip.embedding.store import EmbeddingStore
    from siamclip.embedding.unique_photos import embed_unique

    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in IMAGE_EXTENSIONS)
    if not files:
        raise UserError(f"{root}: holds no photos")
    embedder, metadata = open_embedder(name, arguments.checkpoint_dir)
    store = EmbeddingStore(arguments.cache, embedder.fingerprint, embedder.dimension)
    vectors, errors = embed_unique(embedder, files, store)
    good = [i for i in range(len(files)) if i not in errors]
    folders = np.array([files[i].relative_to(root).parts[0] for i in good])
    trained_here = metadata is not None and Path(metadata["data_dir"]).resolve() == root.resolve()
    seen = metadata["split"]["train"] if metadata is not None and trained_here else []
    return Collection(vectors[good], folders, frozenset(seen))


def outliers(home: Collection, others: np.ndarray, draws: int) -> None:
    print(f"\noutliers, one in 40\n{'method':14}{'precision':>11}{'recall':>9}{'flagged':>9}")
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in OUTLIER_METHODS}
    for rng in _draws(draws):
        number = max(5, len(home.vectors) // 40)
        planted = others[rng.choice(len(others), number, replace=False)]
        photos = photos_of(np.concatenate([home.vectors, planted]), np.append(home.folders, np.full(number, "planted")))
        wrong = np.arange(len(photos)) >= len(home.vectors)
        for name in OUTLIER_METHODS:
            found[name].append(_precision_recall(load_target(METHODS[name].target)(photos), wrong))
    for name, figures in found.items():
        precision, recall, flagged = _means(figures)
        print(f"{name:14}{precision:11.2f}{recall:9.2f}{flagged:9.1f}")


def label_errors(collection: Collection, part: str, draws: int) -> None:
    method = load_target(METHODS["label_errors"].target)
    genuine = ~np.char.count(collection.folders, "~").astype(bool)
    vectors, true = collection.vectors[genuine], collection.folders[genuine]
    names, figures, right = np.unique(true), [], []
    for rng in _draws(draws):
        moved = rng.choice(len(true), max(3, len(true) // 20), replace=False)
        given = true.copy()
        given[moved] = [rng.choice(names[names != true[i]]) for i in moved]
        photos = photos_of(vectors, given)
        found = method(photos)
        figures.append(_precision_recall(found, given != true))
        right += [given[near] == true[row] for row, near in zip(found.rows, found.related, strict=True) if row in moved]
    precision, recall, flagged = _means(figures)
    better = f"{np.mean(right):.2f}" if right else "-"
    print(
        f"\nlabel errors, one photo in 20, {part} folders: precision {precision:.2f}, recall {recall:.2f}, "
        f"{flagged:.1f} flagged, better label right {better}"
    )


def cloned_plates(collection: Collection, part: str, draws: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    method = load_target(METHODS["cloned_plate"].target)
    print(f"\ncloned plates, {part} folders")
    print(f"{'photos':8}{'clones':>7}{'of':>5}{'AUC':>7}{'AP':>6}   at the default: precision, recall, same_distance")
    for first, second in SECOND_SHARES:
        rows = []
        for rng in _draws(draws):
            chosen, names, cloned = with_clones(collection.folders, first, second, rng)
            if not cloned:
                print("too few folders of that size")
                return
            photos = photos_of(collection.vectors[chosen], names)
            folders = np.unique(names)
            is_cloned = np.isin(folders, list(cloned))
            # As low as it goes, every folder is ranked; with groups of one photo, every split.
            score = _by_folder(method(photos, same_distance=1e-6, min_group=1), photos, folders)
            default = method(photos)
            precision, recall, _ = _precision_recall_of(_by_folder(default, photos, folders) > 0, is_cloned)
            ranking = roc_auc_score(is_cloned, score), average_precision_score(is_cloned, score)
            rows.append((is_cloned.sum(), len(folders), *ranking, precision, recall, default.notes["same_distance"]))
        number, of, auc, ap, precision, recall, distance = _means(rows)
        print(
            f"{first} + {second}   {number:7.0f}{of:5.0f}{auc:7.2f}{ap:6.2f}   {precision:.2f}, {recall:.2f}, "
            f"{distance:.2f}"
        )


def with_clones(
    folders: np.ndarray, first: int, second: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, set[str]]:
    """Rows, their plates, and the plates that two vehicles have; every plate has first + second photos or fewer."""
    members = {name: rng.permutation(np.flatnonzero(folders == name)) for name in np.unique(folders)}
    clone_of = {name.partition("~")[0]: name for name in members if "~" in name and name.partition("~")[0] in members}
    plates = [name for name in members if "~" not in name]
    if not clone_of:  # planted: disjoint pairs, of which the second vanishes as a folder of its own
        drawn = rng.permutation(plates)[: 2 * (len(plates) // 5)]
        clone_of = dict(zip(drawn[::2], drawn[1::2], strict=True))
        plates = [name for name in plates if name not in set(drawn[1::2])]
    rows, names, cloned = [], [], set()
    for plate in plates:
        own = members[plate][: first + second]
        other = clone_of.get(plate)
        if other is not None and len(own) > first and len(members[other]) >= second:
            own = np.concatenate([own[:first], members[other][:second]])
            cloned.add(plate)
        rows.append(own)
        names += [plate] * len(own)
    return np.concatenate(rows), np.array(names), cloned


def photos_of(vectors: np.ndarray, folders: np.ndarray) -> PhotoTable:
    """A scanned collection in memory."""
    names, labels = np.unique(folders, return_inverse=True)
    number = len(vectors)
    return PhotoTable(
        Path(),
        [f"{folder}/{i}.jpg" for i, folder in enumerate(folders)],
        np.array([f"{i:032x}".encode() for i in range(number)], "S32"),
        np.ones(number, np.int64),
        [""] * number,
        labels.astype(np.int64),
        names.tolist(),
        embeddings=vectors,
    )


def _by_folder(found: Findings, photos: PhotoTable, folders: np.ndarray) -> np.ndarray:
    """(F,) score of each folder, 0 where it is not suspected."""
    score = np.zeros(len(folders))
    score[photos.labels[found.rows]] = found.score
    return score


def _precision_recall(found: Findings, wrong: np.ndarray) -> tuple[float, float, float]:
    flagged = np.zeros(len(wrong), bool)
    flagged[found.rows] = True
    return _precision_recall_of(flagged, wrong)


def _precision_recall_of(flagged: np.ndarray, wrong: np.ndarray) -> tuple[float, float, float]:
    """Precision (nan where nothing is flagged), recall, and the number flagged."""
    right = np.count_nonzero(flagged & wrong)
    number = np.count_nonzero(flagged)
    return right / number if number else float("nan"), right / np.count_nonzero(wrong), float(number)


def _means(figures: Sequence[tuple[float, ...]]) -> np.ndarray:
    """Mean of each figure over the draws in which it is defined; nan where it never is."""
    table = np.array(figures, float)
    defined = np.isfinite(table)
    total = np.where(defined, table, 0).sum(axis=0)
    return np.where(defined.any(axis=0), total / np.maximum(defined.sum(axis=0), 1), np.nan)


def _draws(number: int) -> Iterator[np.random.Generator]:
    yield from (np.random.default_rng(seed) for seed in range(number))


if __name__ == "__main__":
    with exit_on_user_error():
        main()
