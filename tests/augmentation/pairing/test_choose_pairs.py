"""The pairs against a naive loop over all of them, whatever the order of the rows, the block and the slices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.contracts import FusionPair
from siamclip.augmentation.pairing import best_pairs
from siamclip.augmentation.pairing.choose_pairs import ChosenPairs, PairLimits, choose_pairs
from siamclip.augmentation.pairing.similarity_histogram import THRESHOLDS
from siamclip.cleaning.duplicates.cosine.cosine_search import verified
from siamclip.data.collection import Collection
from siamclip.errors import UserError


def chosen_pairs(vectors: np.ndarray, paths: list[str], labels: np.ndarray, **arguments: Any) -> ChosenPairs:
    """choose_pairs of a collection of these paths and labels; `arguments`: the limits, and its own."""
    limits = PairLimits(**{name: arguments.pop(name) for name in PairLimits.__dataclass_fields__ if name in arguments})
    return choose_pairs(vectors, Collection(Path(), paths, labels, []), limits, **arguments)


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def collection(number: int, dimension: int, seed: int, copies: float = 0.0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Vectors around a few places, some of them copies of others or NaN; paths in no order; identities by place."""
    rng = np.random.default_rng(seed)
    places = rng.standard_normal((max(1, number // 6), dimension))
    labels = rng.integers(0, len(places), number)
    vectors = unit(places[labels] + rng.choice([0.1, 0.6]) * rng.standard_normal((number, dimension)))
    for row in np.flatnonzero(rng.random(number) < copies):
        vectors[row] = vectors[rng.integers(number)]
    vectors[rng.random(number) < 0.05] = np.nan
    paths = [f"{label}/{name:03}.jpg" for label, name in zip(labels, rng.permutation(number), strict=True)]
    return vectors, paths, labels.astype(np.int64)


def all_pairs(vectors: np.ndarray, paths: list[str], labels: np.ndarray, across: bool) -> list[FusionPair]:
    """Every pair of readable rows, best first, in float64 from the difference."""
    pairs = []
    for i in range(len(paths)):
        for j in range(i):
            if (across or labels[i] == labels[j]) and not np.isnan(vectors[[i, j]]).any():
                difference = (vectors[i] - vectors[j]).astype(np.float64)
                cosine = max(1 - float(np.cumsum(difference**2)[-1]) / 2, -1.0)  # one after the other
                pairs.append(FusionPair(*sorted((paths[i], paths[j])), cosine))
    return sorted(pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))


def naive_choice(
    pairs: list[FusionPair], threshold: float, ceiling: float, max_pairs: int, max_uses: int
) -> list[FusionPair]:
    chosen: list[FusionPair] = []
    uses: dict[str, int] = {}
    for pair in pairs:
        fits = threshold <= pair.similarity <= ceiling and len(chosen) < max_pairs
        if fits and all(uses.get(path, 0) < max_uses for path in (pair.first, pair.second)):
            chosen.append(pair)
            uses |= {path: uses.get(path, 0) + 1 for path in (pair.first, pair.second)}
    return chosen


@settings(deadline=None, max_examples=100)
@given(
    photos=st.builds(
        collection,
        number=st.integers(0, 45),
        dimension=st.sampled_from([1, 2, 24, 130]),
        seed=st.integers(0, 1000),
        copies=st.sampled_from([0.0, 0.2, 0.9]),
    ),
    band=st.sampled_from([(0.7, 0.98), (-1.0, 1.0), (0.5, 0.7), (-0.3, 0.21), (0.98, 1.0), (0.95, 0.9501)]),
    max_pairs=st.sampled_from([1, 5, 10_000]),
    max_uses=st.sampled_from([1, 2, 100]),
    across=st.booleans(),
    block=st.sampled_from([1, 7, 64]),
    slice_pairs=st.sampled_from([1, 3, 50, 1 << 20]),
)
def test_as_a_naive_loop_chooses(
    photos: tuple[np.ndarray, list[str], np.ndarray], band: tuple[float, float], max_pairs: int, max_uses: int,
    across: bool, block: int, slice_pairs: int,
) -> None:  # fmt: skip
    vectors, paths, labels = photos
    every = all_pairs(vectors, paths, labels, across)
    expected = naive_choice(every, *band, max_pairs, max_uses)
    limits = {"threshold": band[0], "ceiling": band[1], "max_pairs": max_pairs, "max_uses": max_uses}
    try:
        found = chosen_pairs(
            vectors, paths, labels, **limits, across_classes=across, block=block, slice_pairs=slice_pairs
        )
    except UserError:
        assert not expected
        return
    assert found.pairs == expected  # bit for bit
    check_histogram(found, every, *band)


def check_histogram(found: ChosenPairs, every: list[FusionPair], threshold: float, ceiling: float) -> None:
    """Exact counts of pairs and photos for each threshold; the histogram to the rounding at its edges."""
    rows = found.histogram.table()
    assert [row.threshold for row in rows] == sorted({threshold, *(t for t in THRESHOLDS if t < ceiling)})
    assert [row.threshold for row in rows if row.chosen] == [threshold] == [found.histogram.band.threshold]
    for row in rows:
        inside = [pair for pair in every if row.threshold <= pair.similarity <= ceiling]
        assert (row.pairs, row.photos) == (len(inside), len({path for pair in inside for path in pair_paths(pair)}))
    below = [pair.similarity for pair in every if pair.similarity <= ceiling]
    above = [pair.similarity for pair in every if pair.similarity > ceiling]
    assert found.histogram.above == len(above)
    for highest, values in ((found.histogram.highest_below, below), (found.histogram.highest_above, above)):
        assert highest == pytest.approx(max(values, default=np.nan), abs=1e-6, nan_ok=True)
    assert found.histogram.pairs == len(every)
    similarities = np.array([pair.similarity for pair in every])
    upto, edges = np.cumsum(found.histogram.counts), found.histogram.edges
    for k in range(0, len(upto), 97):
        low, high = np.searchsorted(np.sort(similarities), [edges[k + 1] - 1e-6, edges[k + 1] + 1e-6])
        assert low <= upto[k] <= high or k == len(upto) - 1


def pair_paths(pair: FusionPair) -> tuple[str, str]:
    return pair.first, pair.second


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), block=st.sampled_from([3, 16, 2048]), slice_pairs=st.sampled_from([7, 1 << 20]))
def test_the_order_of_the_rows_the_block_and_the_slices_change_nothing(seed: int, block: int, slice_pairs: int) -> None:
    vectors, paths, labels = collection(60, 33, seed, copies=0.3)
    limits = {"threshold": -1.0, "ceiling": 0.9999, "max_pairs": 40, "max_uses": 3}
    expected = chosen_pairs(vectors, paths, labels, **limits, across_classes=True)
    order = np.random.default_rng(seed).permutation(60)
    found = chosen_pairs(
        vectors[order], [paths[i] for i in order], labels[order], **limits, across_classes=True,
        block=block, slice_pairs=slice_pairs,
    )  # fmt: skip
    assert found.pairs == expected.pairs
    assert found.histogram.rows == expected.histogram.rows


def test_ties_are_broken_by_the_paths() -> None:
    """Two photos, each copied: all pairs between the copies are equally alike."""
    angle = np.deg2rad(20)
    vectors = np.array([[1, 0]] * 3 + [[np.cos(angle), np.sin(angle)]] * 3, np.float32)
    paths = ["a/5", "a/1", "a/3", "a/2", "a/6", "a/4"]
    found = chosen_pairs(
        vectors, paths, np.zeros(6, np.int64), threshold=0.9, ceiling=0.99, max_pairs=10, max_uses=2, slice_pairs=2
    )
    expected = [("a/1", "a/2"), ("a/1", "a/4"), ("a/2", "a/3"), ("a/3", "a/4"), ("a/5", "a/6")]
    assert [(pair.first, pair.second) for pair in found.pairs] == expected


def test_a_million_pairs_of_one_similarity_do_not_fit_into_a_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the slice: more pairs than its buffers hold, all equally alike."""
    monkeypatch.setattr(best_pairs, "FIRST_SLICE", 64)
    vectors = np.repeat(unit(np.array([[1.0, 0.2], [1.0, -0.2]])), 1000, axis=0)
    paths = [f"{i:04}" for i in range(2000)]
    found = chosen_pairs(
        vectors, paths, np.zeros(2000, np.int64), threshold=0.9, ceiling=0.99, max_pairs=600, max_uses=3,
        block=256, slice_pairs=4096,
    )  # fmt: skip
    assert found.histogram.band.pairs == 1_000_000
    assert found.histogram.above == 2 * 1000 * 999 // 2
    names = [(int(pair.first), int(pair.second)) for pair in found.pairs]
    # Three partners each, in order: photos 0 to 2 take 1000 to 1002, photos 3 to 5 the next three ...
    assert names == [(first, 1000 + first // 3 * 3 + k) for first in range(200) for k in range(3)]


def test_similarity_is_that_of_the_exact_search() -> None:
    vectors, paths, labels = collection(40, 512, 4)
    vectors = np.nan_to_num(vectors, nan=0.0)
    vectors[~vectors.any(axis=1)] = unit(np.ones((1, 512)))
    found = chosen_pairs(
        vectors, paths, labels, threshold=0.2, ceiling=1.0, max_pairs=99, max_uses=99, across_classes=True
    )
    rows = {path: i for i, path in enumerate(paths)}
    first, second = (
        np.array([rows[path] for path in column]) for column in zip(*map(pair_paths, found.pairs), strict=True)
    )
    _, _, distance = verified(vectors, vectors, first, second, -1.0)
    np.testing.assert_allclose([pair.similarity for pair in found.pairs], 1 - distance**2 / 2, rtol=0, atol=1e-12)


def test_vectors_of_half_precision_are_counted_as_the_distance_says() -> None:
    """Their lengths are off by 5e-4, far more than the bins' margin."""
    _, paths, labels = collection(120, 6, 9)
    vectors = unit(np.random.default_rng(1).standard_normal((120, 6))).astype(np.float16).astype(np.float32)
    assert np.abs((vectors**2).sum(axis=1) - 1).max() > 2e-4
    every = all_pairs(vectors, paths, labels, True)
    found = chosen_pairs(
        vectors, paths, labels, threshold=0.6, ceiling=0.95, max_pairs=9999, max_uses=99, across_classes=True, block=32
    )
    assert found.pairs == naive_choice(every, 0.6, 0.95, 9999, 99)
    check_histogram(found, every, 0.6, 0.95)


def test_every_photo_is_reported_once() -> None:
    vectors, paths, labels = collection(90, 16, 2)
    vectors[:4] = np.nan
    for across in (False, True):
        done: list[int] = []
        chosen_pairs(
            vectors, paths, labels, threshold=-1, ceiling=1, max_pairs=5, max_uses=1, across_classes=across,
            block=16, advance=done.append,
        )  # fmt: skip
        assert sum(done) == 90


# -- what the user is told ----------------------------------------------------------------------------------------


def choose(cosines: dict[str, float], **settings: float) -> ChosenPairs:
    """Photos of one identity at angles to the first axis; the names are the paths."""
    angles = np.arccos(np.array([*cosines.values()]))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    limits = {"threshold": 0.7, "ceiling": 0.98, "max_pairs": 10, "max_uses": 3} | settings
    return chosen_pairs(vectors, list(cosines), np.zeros(len(cosines), np.int64), **limits)


def test_no_pair_in_the_band_tells_the_highest_and_a_threshold_that_gives_pairs() -> None:
    photos = {"a": 1.0, "b": 0.6543, "c": -0.9}
    with pytest.raises(UserError, match=re.escape("[0.7, 0.98]; the highest below is 0.6543: similarity_thr")) as said:
        choose(photos)
    suggested = re.search(r"similarity_threshold (\S+) would give (\d+)", str(said.value))
    assert suggested is not None
    assert suggested.groups() == ("0.65", "1")
    assert "above the ceiling" not in str(said.value)
    assert len(choose(photos, threshold=0.65).pairs) == 1


@pytest.mark.parametrize("cosine", [0.5, 0.25, 0.0, -0.5, -1.0])
def test_the_suggested_threshold_is_reached_where_the_highest_is_round(cosine: float) -> None:
    with pytest.raises(UserError) as said:
        choose({"a": 1.0, "b": cosine})
    suggested = re.search(r"similarity_threshold (\S+) would give 1 ", str(said.value))
    assert suggested is not None
    assert len(choose({"a": 1.0, "b": cosine}, threshold=float(suggested[1])).pairs) == 1


def test_pairs_above_the_ceiling_only() -> None:
    with pytest.raises(UserError, match=r"3 lie above the ceiling, up to 1\.0000: .*similarity_ceiling 1 ") as said:
        choose({"a": 1.0, "b": 1.0, "c": 0.999})
    assert "highest below" not in str(said.value)
    assert len(choose({"a": 1.0, "b": 1.0, "c": 0.999}, ceiling=1.0).pairs) == 3


def test_no_identity_with_two_photos_names_the_flag() -> None:
    vectors = unit(np.array([[1, 0.1], [1, 0.4], [np.nan, 1]]))
    paths, labels = ["a/1", "b/1", "b/2"], np.array([0, 1, 1])
    limits = {"threshold": 0.5, "ceiling": 0.99, "max_pairs": 1, "max_uses": 1}
    with pytest.raises(UserError, match=r"two photos that could be read \(2 in all\); across_classes"):
        chosen_pairs(vectors, paths, labels, **limits)
    pair = chosen_pairs(vectors, paths, labels, **limits, across_classes=True).pairs[0]
    assert (pair.first, pair.second) == ("a/1", "b/1")


@pytest.mark.parametrize("readable", [0, 1])
def test_fewer_than_two_photos(readable: int) -> None:
    vectors = np.full((2, 3), np.nan, np.float32)
    vectors[:readable] = [1, 0, 0]
    for across in (False, True):
        with pytest.raises(UserError, match=f"{readable} photos could be read"):
            chosen_pairs(
                vectors, ["a", "b"], np.zeros(2, np.int64), threshold=0, ceiling=1, max_pairs=1, max_uses=1,
                across_classes=across,
            )  # fmt: skip


@pytest.mark.parametrize("threshold", [0.9, 0.95, float("nan")])
def test_a_threshold_not_below_the_ceiling_is_refused(threshold: float) -> None:
    with pytest.raises(UserError, match=r"^similarity_threshold .*: must lie below similarity_ceiling 0\.9"):
        choose({"a": 1.0, "b": 0.92}, threshold=threshold, ceiling=0.9)


def test_arrays_that_do_not_fit_are_a_defect_of_the_caller() -> None:
    vectors, labels = unit(np.ones((2, 2))), np.zeros(2, np.int64)
    limits = {"threshold": 0.5, "ceiling": 1.0, "max_pairs": 1, "max_uses": 1}
    with pytest.raises(ValueError, match="2 embeddings, 1 paths"):
        chosen_pairs(vectors, ["a"], labels, **limits)
    with pytest.raises(ValueError, match="twice"):
        chosen_pairs(vectors, ["a", "a"], labels, **limits)
    with pytest.raises(ValueError, match=r"length 1\.414, expected 1"):
        chosen_pairs(np.ones((2, 2), np.float32), ["a", "b"], labels, **limits)
