"""The method: which photos take part, what stands in the pairs, and what it says of itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.cleaning.contracts import CopyPairs, PhotoTable
from siamclip.cleaning.duplicates import semantic as module
from siamclip.cleaning.duplicates.semantic import semantic
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError
from siamclip.methods import load_target


def photos_of(vectors: np.ndarray, content: list[str] | None = None, labels: np.ndarray | None = None) -> PhotoTable:
    number = len(vectors)
    content = [f"{i:032x}" for i in range(number)] if content is None else content
    return PhotoTable(
        Path("photos"),
        [f"a/{i:05}.jpg" for i in range(number)],
        np.array(content, dtype="S32"),
        np.full(number, 1000),
        [""] * number,
        np.zeros(number, np.int64) if labels is None else labels,
        ["a", "b"],
        embeddings=vectors.astype(np.float32),
        embedder="test",
    )


def around(places: int, each: int, spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = np.repeat(rng.standard_normal((places, 32)), each, axis=0)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors + spread * rng.standard_normal(vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def keys(pairs: CopyPairs) -> set[tuple[int, int]]:
    assert (pairs.first < pairs.second).all()
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert len(found) == len(pairs) == len(pairs.distance)
    return found


def naive(photos: PhotoTable, threshold: float) -> set[tuple[int, int]]:
    vectors = photos.vectors().astype(np.float64)
    return {
        (i, j)
        for i in range(len(photos))
        for j in range(i + 1, len(photos))
        if not (photos.errors[i] or photos.errors[j])
        and not (photos.is_archived[i] and photos.is_archived[j])
        and 1 - ((vectors[i] - vectors[j]) ** 2).sum() / 2 >= threshold
    }


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 40), st.sampled_from([0.6, 0.95, 1.0]), st.integers(0, 1000))
def test_against_a_loop(number: int, threshold: float, seed: int) -> None:
    """With unreadable files, missing embeddings, an archive, and copies of the same bytes."""
    rng = np.random.default_rng(seed)
    vectors = around(max(1, number // 3), 4, 0.04, seed)[:number]
    content = [f"{i:032x}" for i in range(len(vectors))]
    for i in range(1, len(vectors)):
        if rng.random() < 0.2:
            other = int(rng.integers(0, i))
            vectors[i] = vectors[other]
            if rng.random() < 0.5:
                content[i] = content[other]
    photos = photos_of(vectors, content)
    photos.archived = rng.random(len(vectors)) < 0.3
    for row in np.flatnonzero(rng.random(len(vectors)) < 0.1):
        photos.errors[row] = "damaged"
    assert keys(semantic(photos, threshold=threshold)) == naive(photos, threshold)


def test_the_distance_is_euclidean() -> None:
    angles = np.deg2rad([0.0, 10.0])
    photos = photos_of(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    found = semantic(photos)
    assert found.method == "semantic" and load_target(METHODS["semantic"].target) is semantic
    assert found.distance[0] == pytest.approx(np.sqrt(2 - 2 * np.cos(angles[1])), abs=1e-6)
    assert found.first.dtype == found.second.dtype == np.int64 and found.distance.dtype == np.float32
    assert not len(semantic(photos, threshold=0.99))


def test_photos_without_an_embedding_and_unreadable_ones_match_nothing() -> None:
    vectors = around(1, 6, 0.001)
    vectors[[1, 2]] = np.nan
    photos = photos_of(vectors, content=["a"] * 2 + ["b"] * 2 + [""] * 2)
    photos.errors[4] = photos.errors[5] = "the file is empty"
    assert keys(semantic(photos)) == {(0, 3)}


def test_two_unreadable_files_are_no_duplicates_of_each_other() -> None:
    photos = photos_of(np.full((2, 8), np.nan), content=["", ""])
    photos.errors[:] = ["the file is empty"] * 2
    assert not len(semantic(photos))


@pytest.mark.parametrize("search", ["exact", "ivf", "hnsw", "clusters"])
def test_every_search_leaves_the_archive_alone_and_says_what_it_did(search: str) -> None:
    photos = photos_of(around(200, 4, 0.01))
    photos.archived = np.arange(800) % 4 < 2
    found = semantic(photos, search=search)
    assert keys(found) <= naive(photos, 0.95)
    assert len(found) >= 0.95 * len(naive(photos, 0.95)) == 0.95 * 200 * 5
    assert found.notes["search"] == search
    assert ("recall" in found.notes) == (search != "exact")
    if search != "exact":
        assert 0.9 <= float(found.notes["recall"]) <= 1
        assert found.notes["recall measured on"] == "400 photos drawn at random, 1,000 pairs"


def test_auto_is_exact_up_to_a_limit_and_an_index_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = photos_of(around(50, 4, 0.01))
    assert semantic(photos).notes["search"] == "exact"
    monkeypatch.setattr(module, "EXACT_LIMIT", 199)
    found = semantic(photos)
    assert found.notes["search"] == "ivf" and "recall" in found.notes


@pytest.mark.parametrize("search", ["exact", "ivf", "clusters"])
def test_the_names_of_the_files_change_nothing(search: str) -> None:
    vectors = around(100, 4, 0.02)
    content = [f"{i // 2:032x}" if i % 4 < 2 else f"{i + 1000:032x}" for i in range(400)]
    vectors[1::4] = vectors[::4]
    photos = photos_of(vectors, content)
    order = np.random.default_rng(3).permutation(400)
    renamed = photos_of(vectors[order], [content[i] for i in order])
    found, other = semantic(photos, search=search), semantic(renamed, search=search)
    assert {tuple(sorted((int(order[a]), int(order[b])))) for a, b in keys(other)} == keys(found)
    assert found.notes == other.notes


def test_a_crowd_of_equal_photos_does_not_give_its_square() -> None:
    photos = photos_of(np.repeat(around(1, 1, 0.0), 20_000, axis=0), content=["a"] * 20_000)
    found = semantic(photos)
    assert len(found) == 19_999
    assert found.notes["distinct"] == 1


def test_clusters_of_alike_photos_are_represented_and_the_recall_counts_photos() -> None:
    photos = photos_of(around(2, 300, 0.01))
    found = semantic(photos, search="clusters", clusters=2)
    assert found.notes["represented clusters"] == 2 and found.notes["clusters"] == 2
    assert len(found) == 598
    assert found.notes["recall"] == 1.0
    assert found.notes["recall measured on"] == "600 photos drawn at random, 600 photos with a copy"


def test_hdbscan_as_the_clustering() -> None:
    photos = photos_of(around(40, 4, 0.01))
    found = semantic(photos, search="clusters", cluster_by="hdbscan")
    assert keys(found) <= naive(photos, 0.95)
    assert found.notes["clusters"] == 40 and float(found.notes["recall"]) > 0.9


@pytest.mark.parametrize("search", ["exact", "ivf", "hnsw", "clusters"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_hardly_any_photos(search: str, number: int) -> None:
    found = semantic(photos_of(around(1, 2, 0.001)[:number]), search=search)
    assert len(found) == (number == 2)


@pytest.mark.parametrize("search", ["exact", "ivf", "hnsw", "clusters"])
def test_an_archive_without_new_photos_gives_nothing(search: str) -> None:
    photos = photos_of(around(10, 4, 0.01))
    photos.archived = np.ones(40, bool)
    found = semantic(photos, search=search)
    assert not len(found)


def test_settings_out_of_range() -> None:
    photos = photos_of(around(2, 2, 0.1))
    for wrong in (
        {"threshold": 0.0},
        {"threshold": 1.01},
        {"threshold": float("nan")},
        {"clusters": -1},
        {"max_pairs": 0},
    ):
        name = next(iter(wrong))
        with pytest.raises(UserError, match=f"^set semantic.{name}="):
            semantic(photos, **wrong)
    with pytest.raises(UserError, match="no embeddings"):
        photos.embeddings = None
        semantic(photos)
