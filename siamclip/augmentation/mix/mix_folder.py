"""Images of a folder's photos, by any method of mixing and masking.

Image k depends on its parents, the settings, the seed and k alone: neither the batches nor an interruption change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from siamclip.augmentation.contracts import MadeImage, soft_label
from siamclip.augmentation.method_table import MIXERS, Mixer
from siamclip.augmentation.mix.batch import Mixed
from siamclip.augmentation.mix.parents import LogWeights, Parents, draw_parents, draw_single, pool_of_pairs
from siamclip.augmentation.output.contact_sheet import SheetCell, SheetRow, contact_sheet
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.augmentation.square_photos import SquareReader, content_hashes, stretched
from siamclip.data.collection import Collection
from siamclip.data.image.decode import decode
from siamclip.data.image.preprocess import Geometry
from siamclip.data.loader import PhotoLoader
from siamclip.data.plate_names import identity_of
from siamclip.errors import ImageError, UserError, printable
from siamclip.methods import effective, keyword_arguments, load_target


@dataclass(frozen=True)
class FolderMixing:
    """A method with all its settings, and the squares in which it mixes."""

    mixer: Mixer
    arguments: Mapping[str, Any]
    side: int
    geometry: Geometry
    seed: int

    def try_out(self) -> None:
        """Raise UserError for settings that cannot be, before the long work."""
        mixed = self._mixed(torch.zeros(2, 3, self.side, self.side), torch.eye(2), 0)
        if mixed.layer is not None:
            problem = "with this strategy it mixes activations inside a network, of which no image can be written"
            remedy = "take another strategy, or train with it: train.py `mix`"
            raise UserError("method", problem, remedy, self.mixer.name)

    @property
    def log_weights(self) -> LogWeights | None:
        """By which partners are drawn; None: any is as good."""
        if self.mixer.pairing is None:
            return None
        weigh = load_target(self.mixer.pairing)
        settings = {name: self.arguments[name] for name in keyword_arguments(self.mixer.pairing)}
        return lambda first, others: weigh(first, others, **settings)

    def __call__(self, photos: np.ndarray, features: np.ndarray | None, k: int) -> tuple[np.ndarray, float]:
        """Image k, uint8 (side, side, 3), of its one or two parents (P, side, side, 3), and the first one's share.

        `features`: float32 (P, D), for methods that need them.
        """
        batch = torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous().float().div(255)
        mixed = self._mixed(batch, None if features is None else torch.from_numpy(features), k)
        image = mixed.images[0].mul(255).round().clamp(0, 255).byte()
        return np.ascontiguousarray(image.permute(1, 2, 0).numpy()), float(mixed.share[0])

    def _mixed(self, images: torch.Tensor, features: torch.Tensor | None, k: int) -> Mixed:
        rng = np.random.default_rng([self.seed, k, 1])
        given = features if "features" in self.mixer.needs else None
        mixed: Mixed = self.mixer.load()(images, given, rng, **self.arguments)
        return mixed


def make_folder_mixing(
    method: str, assignments: Sequence[str], side: int, geometry: Geometry, seed: int
) -> FolderMixing:
    """By a method's name and its settings as `method.setting=value`. Raises UserError for what cannot be."""
    mixer = MIXERS.one(method, "method")
    for text in assignments:
        name = text.partition(".")[0].strip()
        if name in MIXERS and name != method:
            raise UserError("set", f"`method` is {method}; leave this out, or take that method", value=text)
    arguments = effective([mixer], MIXERS.parse(assignments))[method]
    mixing = FolderMixing(mixer, arguments, side, geometry, seed)
    mixing.try_out()
    return mixing


def choose_parents(
    mixing: FolderMixing,
    labels: np.ndarray,
    number: int,
    across_classes: bool,
    vectors: np.ndarray | None = None,
    advance: Callable[[int], Any] = lambda done: None,
) -> tuple[list[Parents], int]:
    """Parents of `number` images, and how many photos are left out because they are alone in their identity.

    `labels` (N,): the photos' identities. `vectors`: float32 (N, D), for methods that need them; photos whose rows are
    NaN are not drawn. Raises UserError where there are too few.
    """
    readable = np.ones(len(labels), bool) if vectors is None else np.isfinite(vectors[:, 0])
    if not mixing.mixer.mixes_labels:
        return draw_single(readable, number, mixing.seed, advance), 0
    pool = pool_of_pairs(labels, readable, across_classes)
    parents = draw_parents(
        pool,
        number,
        mixing.seed,
        one_each=mixing.mixer.one_each,
        vectors=vectors,
        log_weights=mixing.log_weights,
        advance=advance,
    )
    return parents, pool.left_out


@dataclass(frozen=True)
class HashedParents:
    """The parents of each image to be made, and path -> content hash of their photos ("" where it cannot be read)."""

    parents: Sequence[Parents]
    hashes: Mapping[str, str]
    fingerprint: str  # of all photos and what they hold, in the order of the images


def hash_parents(collection: Collection, parents: Sequence[Parents]) -> HashedParents:
    paths = [collection.paths[row] for one in parents for row in _rows(one)]
    hashes = content_hashes(collection.root, paths)
    lines = (f"{path}\0{hashes[path] or None}" for path in paths)
    digest = xxhash.xxh3_128_hexdigest("\0\0".join(lines).encode("utf-8", "surrogatepass"))
    return HashedParents(parents, hashes, digest)


def mix_folder(
    mixing: FolderMixing,
    collection: Collection,
    sources: HashedParents,
    output: OutputFolder,
    *,
    vectors: np.ndarray | None = None,
    batch_size: int = 16,
    sheet_rows: int = 0,
    advance: Callable[[int], Any] = lambda done: None,
) -> dict[str, str]:
    """Write an image of each of the parents; those that are there stay.

    Where photos were squashed to squares the image is stretched back to its first photo's shape. Images of a photo
    that cannot be read are left out; returns photo -> reason. `vectors`: (N, D) embeddings, for methods that need
    them. `advance` is called with the number of images done since its last call. With `sheet_rows`, a contact sheet
    of as many images is written at the end.
    """
    root, paths, parents = collection.root, collection.paths, sources.parents
    named = [(paths[one.first], "" if one.second is None else paths[one.second]) for one in parents]
    method = mixing.mixer.name
    targets = [f"{name}.{method}.png" for name in output.names(named, [method], paths)]
    todo = [k for k, target in enumerate(targets) if target not in output.done]
    advance(len(parents) - len(todo))
    reader = SquareReader(root, mixing.side, mixing.geometry, sources.hashes)
    sizes: dict[int, tuple[int, int]] = {}

    def load(file: Path, row: int) -> np.ndarray:
        photo, sizes[row] = reader.read(paths[row])
        return photo

    batches = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
    rows = [np.unique([row for k in batch for row in _rows(parents[k])]) for batch in batches]
    with PhotoLoader(collection.files, load) as loader:
        for batch, needed, (photos, unreadable) in zip(batches, rows, loader.stream(rows), strict=True):
            place = {int(row): i for i, row in enumerate(needed[~unreadable])}
            made = []
            for k in batch:
                own = _rows(parents[k])
                if not all(row in place for row in own):
                    continue
                features = None if vectors is None else vectors[own]
                image, share = mixing(photos[[place[row] for row in own]], features, k)
                if mixing.geometry == "squash":
                    image = stretched(image, sizes[own[0]])
                made.append((_row(mixing, targets[k], named[k], parents[k], share), image))
            output.write(made)
            advance(len(batch))
        failures = {paths[row]: why for row, why in sorted(loader.failures.items())}
    if sheet_rows:
        _write_sheet(mixing, output, root, targets, sheet_rows)
    return failures


def _rows(parents: Parents) -> list[int]:
    return [parents.first] if parents.second is None else [parents.first, parents.second]


def _row(mixing: FolderMixing, path: str, names: tuple[str, str], parents: Parents, share: float) -> MadeImage:
    first, second = names
    return MadeImage(
        path=path,
        method=mixing.mixer.name,
        first=first,
        second=second,
        ratio=share,
        similarity=parents.similarity,
        soft_label=soft_label(identity_of(first), identity_of(second or first), share),
        seed=mixing.seed,
        model="",
        settings={"image_size": mixing.side, "geometry": mixing.geometry, **mixing.arguments},
    )


def _write_sheet(mixing: FolderMixing, output: OutputFolder, root: Path, targets: Sequence[str], rows: int) -> None:
    """The parents and the image, of images that are spread evenly over all."""
    shown = [targets[i] for i in np.unique(np.linspace(0, len(targets) - 1, rows).round().astype(int))]
    made = {image.path: image for image in output.images() if image.path in set(shown)}
    columns = ["first", "second"] if mixing.mixer.mixes_labels else ["photo"]
    lines = []
    for image in (made[target] for target in shown if target in made):
        parents = [photo for photo in (image.first, image.second) if photo]
        cells = [_photo(root / photo, mixing) for photo in parents]
        cells.append(SheetCell(decode(output.path / image.path)))
        lines.append(SheetRow(cells, _caption(image, parents)))
    if lines:
        with output.explain_write_errors():
            contact_sheet(lines, [*columns, mixing.mixer.name], output.contact_sheet)


def _caption(image: MadeImage, parents: Sequence[str]) -> str:
    alike = "" if np.isnan(image.similarity) else f"similarity {image.similarity:.3f}  "
    share = f"share {image.ratio:.2f}  " if len(parents) > 1 else ""
    return printable(f"{share}{alike}{'  +  '.join(parents)}")


def _photo(file: Path, mixing: FolderMixing) -> SheetCell:
    try:
        return SheetCell(decode(file, min_side=mixing.side))
    except ImageError:
        return SheetCell(None)  # gone since; its images are there
