"""A dirty collection with ground truth, made of a rendered one: `python -m demo.dirty.build`.

Every defect that `clean.py` looks for is planted a stated number of times, and `ground_truth.csv` says where.
Folders of cloned plates are merged with their plate's: one folder, two vehicles.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path

import numpy as np

from demo.build import write_csv
from demo.dirty.defects import COPIES, SPOILED, corrupt, jpeg, outlier
from siamclip.data.image.decode import decode
from siamclip.errors import UserError, exit_on_user_error

_FORMAT = 1
_FORMER = {"stranger": "outlier", "wrong_label": "label_error"}  # what a collection of an earlier version calls them
MANIFEST, GROUND_TRUTH, PHOTOS = "manifest.json", "ground_truth.csv", "photos"


@dataclass(frozen=True)
class Counts:
    """How many photos get each defect; `near_duplicate` and `spoiled` are of each kind."""

    exact_copy: int = 12
    near_duplicate: int = 6
    label_conflict: int = 6
    spoiled: int = 8
    outlier: int = 8
    label_error: int = 8
    corrupt: int = 8


@dataclass(frozen=True)
class Photo:
    """Ground truth of one photo. `source`: the photo that it is a copy of, or the folder that it belongs in."""

    path: str
    defect: str  # "" for a good photo
    detail: str
    source: str


def plant(source: Path, out: Path, counts: Counts = Counts(), seed: int = 0) -> list[Photo]:
    """Write `out/photos` and `out/ground_truth.csv` from a rendered data set; nothing if they are there already.

    Raises UserError if `out` holds something else, or the source is too small for the counts.
    """
    manifest = {"siamclip_dirty": asdict(counts), "seed": seed, "format": _FORMAT}
    if (out / MANIFEST).is_file():
        found = json.loads((out / MANIFEST).read_text("utf-8"))
        counted = {_FORMER.get(defect, defect): count for defect, count in found.get("siamclip_dirty", {}).items()}
        if {**found, "siamclip_dirty": counted} != manifest:
            raise UserError("out", "holds a dirty collection of other parameters", "choose another folder", out)
        return read(out)
    if out.exists() and any(out.iterdir()):
        raise UserError("out", "is not empty", "choose a new folder", out)
    rows = list(_planted(source, out / PHOTOS, counts, np.random.default_rng(seed)))
    ordered = sorted(rows, key=lambda row: row.path)
    write_csv(out / GROUND_TRUTH, list(Photo.__annotations__), [astuple(row) for row in ordered])
    (out / MANIFEST).write_text(json.dumps(manifest), "utf-8")  # last: without it the collection is not whole
    return read(out)


def read(out: Path) -> list[Photo]:
    """The ground truth of a collection, a row a photo."""
    with (out / GROUND_TRUTH).open(encoding="utf-8", newline="") as file:
        rows = [Photo(**row) for row in csv.DictReader(file)]
    return [replace(row, defect=_FORMER.get(row.defect, row.defect)) for row in rows]


def _planted(source: Path, photos: Path, counts: Counts, generator: np.random.Generator) -> Iterator[Photo]:
    """Good photos are copied; then each defect takes its victims from those that are still untouched."""
    good, clones = _copied(source, photos)
    untouched = [good[i] for i in generator.permutation(len(good)) if good[i] not in clones]
    needed = sum(asdict(counts).values()) + (len(COPIES) - 1) * counts.near_duplicate
    needed += (len(SPOILED) - 1) * counts.spoiled
    if len(untouched) < needed + 20:
        raise UserError("source", f"has {len(untouched)} photos to spoil", f"{needed + 20} are needed", source)
    yield from (Photo(path, "cloned_plate", "", "") for path in sorted(clones))
    copies = [("exact_copy", "")] * counts.exact_copy
    copies += [("near_duplicate", kind) for kind in COPIES for _ in range(counts.near_duplicate)]
    for number, (defect, kind) in enumerate(copies):
        original = untouched.pop()
        content = (photos / original).read_bytes()
        if kind:
            content = jpeg(COPIES[kind](decode(photos / original), generator))
        path = str(Path(original).with_name(f"copy{number:03d}.jpg").as_posix())
        (photos / path).write_bytes(content)
        yield Photo(path, defect, kind, original)
        yield Photo(original, "", "", "")
    yield from _mislabelled(photos, untouched, counts, generator)
    for kind, spoil in SPOILED.items():
        for _ in range(counts.spoiled):
            path = untouched.pop()
            (photos / path).write_bytes(jpeg(spoil(decode(photos / path), generator)))
            yield Photo(path, kind, "", "")
    for number in range(counts.outlier):
        path = str(Path(untouched[number]).with_name(f"other{number}.jpg").as_posix())
        (photos / path).write_bytes(jpeg(outlier(generator)))
        yield Photo(path, "outlier", "", "")
    for _ in range(counts.corrupt):
        path = untouched.pop()
        (photos / path).write_bytes(corrupt((photos / path).read_bytes(), generator))
        yield Photo(path, "corrupt", "", "")
    yield from (Photo(path, "", "", "") for path in untouched)


def _copied(source: Path, photos: Path) -> tuple[list[str], set[str]]:
    """(paths, those that show a clone's vehicle) after copying; a clone's folder goes into its plate's."""
    paths, clones = [], set()
    with (source / GROUND_TRUTH).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            is_clone = row["is_clone"] == "1"
            name = f"b{Path(row['path']).name}" if is_clone else Path(row["path"]).name
            path = f"{row['plate']}/{name}"
            (photos / row["plate"]).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / "vehicles" / row["path"], photos / path)
            paths.append(path)
            if is_clone:
                clones.add(path)
    return paths, clones


def _mislabelled(photos: Path, untouched: list[str], counts: Counts, generator: np.random.Generator) -> Iterator[Photo]:
    """The same photo in two folders, and photos in the wrong folder."""
    folders = sorted(folder.name for folder in photos.iterdir())

    def elsewhere(own: str, name: str) -> str:
        return f"{generator.choice([folder for folder in folders if folder != own])}/{name}"

    for number in range(counts.label_conflict):
        original = untouched.pop()
        path = elsewhere(Path(original).parts[0], f"again{number}.jpg")
        shutil.copyfile(photos / original, photos / path)
        yield Photo(path, "label_conflict", "", original)
        yield Photo(original, "label_conflict", "", path)
    for number in range(counts.label_error):
        original = untouched.pop()
        own = Path(original).parts[0]
        path = elsewhere(own, f"moved{number}.jpg")
        (photos / original).replace(photos / path)
        yield Photo(path, "label_error", "", own)


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.dirty.build", description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of a rendered data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dirty collection, new or empty")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other victims (default 0)")
    options = parser.parse_args()
    rows = plant(options.source, options.out, seed=options.seed)
    print(
        f"dirty collection: {options.out / PHOTOS}, {len(rows)} photos, {sum(bool(row.defect) for row in rows)} dirty"
    )


if __name__ == "__main__":
    main()
