"""What is drawn and counted: against a naive loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from siamclip.cleaning.calibrate import sample as calibrate_sample
from siamclip.cleaning.calibrate.calibrate import (
    propose_questions,
)
from siamclip.cleaning.calibrate.sample import BINS, draw, shares
from siamclip.errors import UserError
from tests.cleaning.calibrate.copied_photos import MEASURES, copies
from tests.cleaning.photo_tables import photos_of

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("method", MEASURES)
def test_bins_count_every_pair_as_a_naive_loop_does(method: str) -> None:
    photos = copies()
    distance_of, threshold, last = MEASURES[method]
    photos.errors[3] = "truncated"
    photos.content[7] = photos.content[6]  # the same bytes need no question
    photos.archived = np.arange(len(photos)) % 5 == 0
    sample = draw(photos, method, threshold, 200, 3)
    counts = np.zeros(len(sample.upper))
    for a, b in itertools.combinations(range(len(photos)), 2):
        if 3 in (a, b) or 7 in (a, b) or (photos.archived[a] and photos.archived[b]):
            continue
        distance = distance_of(photos, a, b)
        if distance <= last:
            counts[np.searchsorted(sample.upper, distance - 1e-5)] += 1
    assert sample.counted
    np.testing.assert_array_equal(sample.population, counts)
    assert (counts > 0).all()

    assert len({*zip(sample.first, sample.second, strict=True)}) == len(sample.first) == 200
    assert (sample.first < sample.second).all()
    for a, b, distance, place in zip(sample.first, sample.second, sample.distance, sample.bin, strict=True):
        assert distance == pytest.approx(distance_of(photos, a, b), abs=1e-4)
        assert not {3, 7} & {int(a), int(b)}
        assert not (photos.archived[a] and photos.archived[b])
        assert distance <= sample.upper[place] + 1e-6
        assert place == 0 or distance > sample.upper[place - 1] - 1e-6
    # no bin lies on both sides of the present threshold
    sides = [(sample.distance[sample.bin == place] <= threshold) for place in range(len(sample.upper))]
    assert all(side.all() or not side.any() for side in sides)
    drawn = np.bincount(sample.bin, minlength=len(counts))
    np.testing.assert_array_equal(np.sort(drawn), np.sort(shares(counts, 200)))


def test_drawing_within_a_bin_favours_no_pair() -> None:
    photos = copies(30, 40)
    times: dict[tuple[int, int], int] = {}
    for seed in range(400):
        sample = draw(photos, "phash", 5.0, 24, seed)
        largest = sample.population.argmax()
        chosen = sample.bin == largest
        for pair in zip(sample.first[chosen].tolist(), sample.second[chosen].tolist(), strict=True):
            times[pair] = times.get(pair, 0) + 1
    share = chosen.sum() / sample.population[largest]
    assert 0 < share < 1
    assert len(times) == sample.population[largest]
    spread = np.sqrt(400 * share * (1 - share))
    assert all(abs(number - 400 * share) < 5 * spread for number in times.values())


def test_more_questions_are_the_same_ones_and_others() -> None:
    photos = copies()
    few, many = (propose_questions(photos, "phash", number, 5, threshold=5.0) for number in (40, 90))
    assert propose_questions(photos, "phash", 40, 5, threshold=5.0) == few
    assert {q.key for q in few.questions} < {q.key for q in many.questions}
    assert few.upper == many.upper
    assert {q.key for q in propose_questions(photos, "phash", 40, 6, threshold=5.0).questions} != {
        q.key for q in few.questions
    }


def test_of_too_many_photos_some_are_compared_with_all_and_the_numbers_are_right_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = copies()
    exact = draw(photos, "phash", 5.0, 60, 0)
    assert exact.population.sum() > 100
    monkeypatch.setattr(calibrate_sample, "_ALL_PAIRS", len(photos) * 120)
    totals = []
    for seed in range(60):
        part = draw(photos, "phash", 5.0, 60, seed)
        assert not part.counted
        assert (part.asked, part.photos) == (120, len(photos))
        totals.append(part.population.sum())
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - exact.population.sum()) < 4 * error
    assert np.std(totals) > 0


def test_shares_are_even_and_complete() -> None:
    assert shares(np.array([2, 100, 100]), 62).tolist() == [2, 30, 30]
    assert shares(np.array([1, 2]), 100).tolist() == [1, 2]
    assert shares(np.array([50, 50, 50]), 100).sum() == 100


def test_what_cannot_be_calibrated_is_said() -> None:
    photos = copies(2, 2)
    with pytest.raises(UserError, match=r"method laplacian: has no distance.*phash.*semantic"):
        propose_questions(photos, "laplacian", threshold=5.0)
    with pytest.raises(UserError, match="has no distance"):
        propose_questions(photos, "exact", threshold=5.0)
    with pytest.raises(UserError, match=f"questions 3: must be at least {BINS}"):
        propose_questions(photos, "phash", 3, threshold=5.0)
    with pytest.raises(UserError, match="must lie within"):
        propose_questions(photos, "phash", threshold=0.0)
    alone = photos_of("a.jpg", "b.jpg", phash8=np.array([1, 2**64 - 2], np.uint64), hash_contrast=np.full(2, 9.0))
    with pytest.raises(UserError, match="no two photos lie within a distance of 16"):
        propose_questions(alone, "phash", threshold=5.0)
    for bits, contrast in ((0, 9.0), (2**64 - 1, 9.0), (77, 1.9)):  # flat photos are no copies of each other
        contents = np.full(2, bits, np.uint64)
        flat = photos_of("a.jpg", "b.jpg", phash8=contents, hash_contrast=np.full(2, contrast))
        with pytest.raises(UserError, match="no two photos"):
            propose_questions(flat, "phash", threshold=5.0)
