"""Photos in bulk: each read once, in order, and a bad one never ends the run."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.data.loader import BATCHES_AHEAD, PhotoLoader
from siamclip.errors import ImageError
from siamclip.training.sampling import draw_pairs, pair_batches

SIZE = 4
PHOTO_BYTES = SIZE * SIZE * 3


class Reader:
    """Gives photo i the value i, counts what is asked of it, and cannot read those in `bad`."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        self.bad = bad
        self.calls: Counter[int] = Counter()
        self._lock = threading.Lock()

    def __call__(self, file: Path, index: int) -> np.ndarray:
        assert file == Path(f"{index}.jpg")
        with self._lock:
            self.calls[index] += 1
        if index in self.bad:
            raise ImageError(f"bad {index}", str(file))
        return np.full((SIZE, SIZE, 3), index, np.uint8)


def loader(number: int, reader: Reader, **settings: int) -> PhotoLoader:
    return PhotoLoader([Path(f"{i}.jpg") for i in range(number)], reader, **settings)


@given(st.lists(st.lists(st.integers(0, 19), min_size=1, max_size=6), max_size=8), st.sets(st.integers(0, 19)))
def test_photos_come_in_order_without_the_unreadable(batches: list[list[int]], bad: set[int]) -> None:
    with loader(20, Reader(tuple(bad)), workers=3) as photos:
        found = list(photos.stream(np.array(batch) for batch in batches))
        assert photos.failures == {i: f"bad {i}" for batch in batches for i in batch if i in bad}
    for batch, (images, unreadable) in zip(batches, found, strict=True):
        assert unreadable.tolist() == [i in bad for i in batch]
        assert unreadable.dtype == bool
        assert images.dtype == np.uint8
        assert [int(image[0, 0, 0]) for image in images] == [i for i in batch if i not in bad]


def test_an_empty_batch_is_a_batch() -> None:
    with loader(1, Reader()) as photos:
        ((images, unreadable),) = photos.stream([np.array([], np.int64)])
    assert len(images) == len(unreadable) == 0
    assert (~unreadable).sum() == 0


def test_a_batch_of_pairs_decodes_each_distinct_photo_once() -> None:
    labels = np.repeat(np.arange(6), 5)
    reader = Reader()
    batches = pair_batches(draw_pairs(labels, 20, 0.5, np.random.default_rng(0)), 32)
    with loader(30, reader, workers=2) as photos:
        for batch, (images, _) in zip(batches, photos.stream(b.photos for b in batches), strict=True):
            pair_photos = np.concatenate([batch.photos[batch.pairs.first], batch.photos[batch.pairs.second]])
            assert len(images) == len(np.unique(pair_photos)) < len(pair_photos)
    assert reader.calls == Counter(int(i) for batch in batches for i in set(batch.photos.tolist()))


def test_what_fits_into_the_cache_is_decoded_once() -> None:
    reader = Reader(bad=(3,))
    with loader(10, reader, workers=1, cache_bytes=4 * PHOTO_BYTES) as photos:
        for _ in range(3):
            list(photos.stream([np.arange(10)]))
    # 0, 1, 2 and 4 fill the cache; 3 is bad, which is not tried again either
    assert reader.calls == {i: 1 if i < 5 else 3 for i in range(10)}


def test_without_a_cache_nothing_is_kept() -> None:
    reader = Reader()
    with loader(4, reader) as photos:
        for _ in range(2):
            list(photos.stream([np.arange(4)]))
    assert set(reader.calls.values()) == {2}


def test_a_cached_photo_is_the_same_photo() -> None:
    with loader(4, Reader(), cache_bytes=4 * PHOTO_BYTES) as photos:
        (first, _), (second, _) = photos.stream([np.arange(4)] * 2)
    np.testing.assert_array_equal(first, second)


def test_no_more_is_decoded_ahead_than_said() -> None:
    """Memory does not grow with the number of files."""
    reader = Reader()
    asked = 0

    def batches() -> object:
        nonlocal asked
        for start in range(0, 100, 5):
            asked += 1
            yield np.arange(start, start + 5)

    with loader(100, reader) as photos:
        for done, _ in enumerate(photos.stream(batches())):  # type: ignore[arg-type]
            assert asked <= done + 1 + BATCHES_AHEAD
    assert asked == 20


def test_a_defect_is_no_unreadable_photo() -> None:
    def broken(file: Path, index: int) -> np.ndarray:
        raise ZeroDivisionError

    with PhotoLoader([Path("0.jpg")], broken) as photos, pytest.raises(ZeroDivisionError):
        list(photos.stream([np.array([0])]))
