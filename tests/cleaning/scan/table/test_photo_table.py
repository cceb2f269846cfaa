"""`open_photos`: labels by layout, sides, an archive beside the new photos, embeddings."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.contracts import NO_LABEL
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.scan import scan_collection
from siamclip.cleaning.scan.table.photo_table import open_photos
from siamclip.data.image.preprocess import Preprocessing
from siamclip.embedding.embedder import Embedder
from siamclip.errors import UserError
from siamclip.models.encoder import create
from tests.cleaning.tiny_scorers import KINDS, MEAN
from tests.small_clip import shrink_clip


def photo(path: Path, seed: int, width: int = 40, height: int = 30) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, "PNG")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunFolder]:
    """Two sides, three identities, one of them on both sides."""
    folder = tmp_path_factory.mktemp("table")
    names = ("train/A/1.png", "train/B/2.png", "train/B/deep/3.png", "Test/A/4.png", "Test/C/5.png", "Test/6.png")
    for i, name in enumerate(names):
        photo(folder / "data" / name, seed=i)
    (folder / "data" / "train" / "B" / "link.png").symlink_to(folder / "data" / "train" / "A" / "1.png")
    (folder / "data" / "train" / "B" / "twin.png").hardlink_to(folder / "data" / "train" / "A" / "1.png")
    (folder / "data" / "train" / "C").mkdir()
    (folder / "data" / "train" / "C" / "0.png").write_bytes(b"")
    run = RunFolder(folder / "run")
    scan_collection(folder / "data", run, scorers=[MEAN, KINDS], workers=1)
    return folder / "data", run


class Small:
    """As much of an Embedder as a scan asks for: a photo's vector is its pixels at 4 x 4."""

    name, dimension, fingerprint, batch_size, threshold = "small", 48, "f" * 32, 2, 0.9
    preprocessing = Preprocessing(size=4, geometry="crop", reduced_decode=False)

    def embed(self, photos: Sequence[np.ndarray | Path]) -> np.ndarray:
        fitted = [p if isinstance(p, np.ndarray) else self.preprocessing.load(p) for p in photos]
        rows = np.stack(fitted).reshape(len(fitted), -1).astype(np.float32)
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


@pytest.fixture
def embedder() -> Embedder:
    return cast(Embedder, Small())


PATHS = [
    "Test/6.png", "Test/A/4.png", "Test/C/5.png", "train/A/1.png", "train/B/2.png", "train/B/deep/3.png",
    "train/C/0.png",
]  # fmt: skip


def test_layouts(collection: tuple[Path, RunFolder]) -> None:
    data, run = collection
    sides = open_photos(run, layout="sides")
    assert sides.root == data.resolve() and sides.paths == PATHS
    assert sides.sides is not None and sides.sides.tolist() == [2, 2, 2, 0, 0, 0, 0] and sides.sides.dtype == np.int8
    assert sides.identities == ["A", "B", "C"] and sides.labels.tolist() == [NO_LABEL, 0, 2, 0, 1, 1, 2]
    classes = open_photos(run)
    assert classes.sides is None and classes.archived is None and not classes.is_archived.any()
    assert classes.identities == ["Test", "train"] and classes.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    flat = open_photos(run, layout="flat")
    assert flat.identities == [] and flat.labels.tolist() == [NO_LABEL] * 7
    assert flat.readable.tolist() == [True] * 6 + [False] and flat.errors[6] == "the file is empty"


def test_columns_may_be_chosen(collection: tuple[Path, RunFolder]) -> None:
    table = open_photos(collection[1], columns=("mean", "four"))
    assert table.columns.keys() == {"mean", "four"} and table.column("four").shape == (7, 4)
    with pytest.raises(UserError, match="holds no 'width'"):
        table.column("width")
    with pytest.raises(UserError, match="holds no embeddings"):
        table.vectors()


def test_a_side_that_is_none_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "data" / "train" / "A" / "1.png", 1)
    photo(tmp_path / "data" / "exam" / "A" / "2.png", 2)
    scan_collection(tmp_path / "data", tmp_path / "run", scorers=[], workers=1)
    with pytest.raises(UserError, match=r"needs folders train, val.*exam/A/2\.png lies in none"):
        open_photos(tmp_path / "run", layout="sides")


def test_an_archive_follows_with_absolute_paths(collection: tuple[Path, RunFolder], tmp_path: Path) -> None:
    data, archive = collection
    photo(tmp_path / "new" / "train" / "1.png", 100)
    photo(tmp_path / "new" / "added" / "2.png", 101)
    scan_collection(tmp_path / "new", tmp_path / "run", scorers=[MEAN], workers=1)
    table = open_photos(tmp_path / "run", archive=archive)
    assert table.paths == ["added/2.png", "train/1.png", *(f"{data.resolve().as_posix()}/{path}" for path in PATHS)]
    assert table.is_archived.tolist() == [False] * 2 + [True] * 7
    assert [table.file(i) for i in (1, 2)] == [(tmp_path / "new" / "train" / "1.png").resolve(), (data / PATHS[0])]
    assert table.identities == ["Test", "added", "train"] and table.labels.tolist() == [1, 2, 0, 0, 0, 2, 2, 2, 2]
    np.testing.assert_array_equal(table.columns["mean"][2:], open_photos(archive).columns["mean"])
    with pytest.raises(UserError, match="its scan lacks mean"):
        scan_collection(tmp_path / "new", tmp_path / "other", scorers=[], workers=1)
        open_photos(tmp_path / "run", archive=tmp_path / "other")
    with pytest.raises(UserError, match="is the RUN itself"):
        open_photos(archive, archive=archive.path)


def test_a_photo_is_not_its_own_archive(tmp_path: Path) -> None:
    """The new folder lies in the archive's, or shares files with it: a photo must not be a copy of itself."""
    photo(tmp_path / "all" / "old" / "1.png", 1)
    photo(tmp_path / "all" / "new" / "2.png", 2)
    scan_collection(tmp_path / "all", tmp_path / "archive", scorers=[MEAN], workers=1)
    photo(tmp_path / "all" / "new" / "2.png", 3)  # changed since: only its path tells
    scan_collection(tmp_path / "all" / "new", tmp_path / "run", scorers=[MEAN], workers=1)
    table = open_photos(tmp_path / "run", archive=tmp_path / "archive")
    assert [Path(path).name for path in table.paths] == ["2.png", "1.png"]
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "x.png").hardlink_to(tmp_path / "all" / "old" / "1.png")
    shutil.copy(tmp_path / "all" / "new" / "2.png", tmp_path / "linked" / "copy.png")
    scan_collection(tmp_path / "linked", tmp_path / "run2", scorers=[MEAN], workers=1)
    scan_collection(tmp_path / "all", tmp_path / "archive", scorers=[MEAN], workers=1)
    table = open_photos(tmp_path / "run2", archive=tmp_path / "archive")
    assert [Path(path).name for path in table.paths] == ["copy.png", "x.png", "2.png"]


def test_embeddings_are_those_of_the_embedder(tmp_path: Path, embedder: Embedder) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for i in range(5):
        photo(data / f"{i}.png", i)
    (data / "broken.png").write_bytes(b"\x89PNG")
    scan_collection(data, run, scorers=[MEAN], workers=1)
    assert open_photos(run).embeddings is None
    summary = scan_collection(data, run, scorers=[MEAN], workers=1, embedder=embedder)
    assert summary.read == 5  # the broken one has nothing to embed
    photo(data / "new.png", 9)
    (data / "0.png").rename(data / "moved.png")
    assert scan_collection(data, run, scorers=[MEAN], workers=1, embedder=embedder).read == 1
    table = open_photos(run)
    assert table.embedder == "small"
    readable = [i for i in range(len(table)) if table.paths[i] != "broken.png"]
    expected = embedder.embed([table.file(i) for i in readable])
    np.testing.assert_allclose(table.vectors()[readable], expected, atol=1e-6)
    assert np.isnan(table.vectors()).all(axis=1).tolist() == [path == "broken.png" for path in table.paths]

    scan_collection(data, run, scorers=[MEAN], workers=1)
    assert open_photos(run).embeddings is None  # the last scan had none
    assert len(open_photos(run, embedder="small").vectors()) == 7
    assert len(open_photos(run, embedder=embedder.fingerprint).vectors()) == 7
    with pytest.raises(UserError, match=r"embedder other: no such embedder in the scan; .* has small"):
        open_photos(run, embedder="other")


def test_a_photo_too_long_for_the_crop_is_counted(tmp_path: Path, embedder: Embedder) -> None:
    photo(tmp_path / "data" / "1.png", 1)
    photo(tmp_path / "data" / "long.png", 2, width=500, height=2)
    for read in (2, 0):
        summary = scan_collection(tmp_path / "data", tmp_path / "run", scorers=[MEAN], workers=1, embedder=embedder)
        assert (summary.read, summary.not_embedded, summary.unreadable) == (read, 1, 0)
    table = open_photos(tmp_path / "run")
    assert table.readable.all() and np.isnan(table.vectors()).all(axis=1).tolist() == [False, True]


@pytest.mark.slow
def test_a_real_embedder_gives_what_it_gives_for_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the reduced decoding of JPEGs: a scan has decoded them at full scale."""
    shrink_clip(monkeypatch)
    real = Embedder(create("ViT-B/32", "random"), None, "cpu", "fp32", batch_size=2)
    for i in range(3):
        photo(tmp_path / "data" / f"{i}.png", i)
    scan_collection(tmp_path / "data", tmp_path / "run", scorers=[MEAN], workers=1, embedder=real)
    table = open_photos(tmp_path / "run")
    assert table.embedder == "ViT-B/32"
    expected = real.embed([table.file(i) for i in range(3)])
    np.testing.assert_allclose(table.vectors(), expected, atol=1e-5)
