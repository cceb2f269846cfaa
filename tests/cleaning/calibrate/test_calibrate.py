"""Calibration: what is drawn and counted, the estimates against the truth, and answers that no interruption loses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.calibrate import sample as calibrate_sample
from siamclip.cleaning.calibrate.calibrate import (
    Answer,
    Proposal,
    as_distance,
    ask_questions,
    evaluate_answers,
    load_session,
    propose_questions,
    read_answers,
    result_as_json,
    save_session,
    setting,
)
from siamclip.cleaning.calibrate.estimate import choose, curve
from siamclip.cleaning.calibrate.sample import BINS, draw, shares
from siamclip.cleaning.calibrate.session import calibrate
from siamclip.cleaning.contracts import PhotoTable
from siamclip.errors import UserError
from tests.cleaning.photo_tables import photos_of

RNG = np.random.default_rng(0)


def copies(originals: int = 60, others: int = 120) -> PhotoTable:
    """Each original has three copies of which each differs in a few bits; others are apart at random.

    Photo "a/12_1.jpg" is a copy of "a/12_0.jpg".
    """
    generator = np.random.default_rng(1)
    hashes, paths = [], []
    for number in range(originals):
        bits = generator.integers(0, 2, 64)
        for copy in range(4):
            flipped = bits ^ (generator.random(64) < 0.05 * (copy > 0))
            hashes.append(np.packbits(flipped).view(np.uint64)[0])
            paths.append(f"a/{number}_{copy}.jpg")
    hashes += list(generator.integers(0, 2**63, others, dtype=np.uint64))
    paths += [f"b/{number}.jpg" for number in range(others)]
    photos = photos_of(*paths, phash8=np.array(hashes, np.uint64), hash_contrast=np.full(len(paths), 30.0))
    vectors = generator.normal(size=(len(paths), 8))
    for row, path in enumerate(paths):  # copies are near
        if path.startswith("a/"):
            vectors[row] = vectors[row // 4 * 4] + 0.15 * generator.normal(size=8)
    photos.embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return photos


def hamming(photos: PhotoTable, a: int, b: int) -> float:
    return float(bin(int(photos.columns["phash8"][a]) ^ int(photos.columns["phash8"][b])).count("1"))


def euclidean(photos: PhotoTable, a: int, b: int) -> float:
    vectors = photos.vectors().astype(np.float64)
    return float(np.linalg.norm(vectors[a] - vectors[b]))


def truly_same(first: str, second: str) -> bool:
    return first.startswith("a/") and first.partition("_")[0] == second.partition("_")[0]


MEASURES: dict[str, tuple[Callable[[PhotoTable, int, int], float], float, float]] = {
    "phash": (hamming, 5.0, 16.0),
    "semantic": (euclidean, 0.4, 0.8),
}


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


# -- estimates -------------------------------------------------------------------------------------------------------


def test_with_every_pair_answered_the_figures_are_the_truth() -> None:
    population, same = np.array([10, 20, 70]), np.array([10, 15, 7])
    found = curve(np.array([1.0, 2.0, 3.0]), population, population, same)
    precision, recall = np.array([1, 25 / 30, 32 / 100]), np.array([10, 25, 32]) / 32
    for name, truth in (("precision", precision), ("recall", recall)):
        for end in ("", "_low", "_high"):
            np.testing.assert_allclose(getattr(found, name + end), truth)


def test_bins_weigh_by_their_pairs_and_not_by_their_answers() -> None:
    # half of 10 answers in a bin of 1,000 pairs is 500 copies; all of 10 in a bin of 10 is 10
    found = curve(np.array([1.0, 2.0]), np.array([10, 1000]), np.array([10, 10]), np.array([10, 5]))
    np.testing.assert_allclose(found.precision, [1.0, 510 / 1010])
    np.testing.assert_allclose(found.recall, [10 / 510, 1.0])
    assert (found.precision_low <= found.precision).all()
    assert (found.precision <= found.precision_high).all()


def test_a_bin_without_answers_leaves_what_depends_on_it_unknown() -> None:
    found = curve(np.array([1.0, 2.0]), np.array([10, 30]), np.array([10, 0]), np.array([9, 0]))
    np.testing.assert_array_equal(found.precision, [0.9, np.nan])
    assert np.isnan(found.recall).all()
    np.testing.assert_allclose([found.precision_low[1], found.precision_high[1]], [9 / 40, 39 / 40])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("population", "share"),
    [
        ([150, 100, 80, 60, 90, 200, 400, 900, 2000], [1, 1, 0.98, 0.9, 0.6, 0.2, 0.05, 0.01, 0]),
        ([20_000] * 8, [0.99, 0.97, 0.8, 0.6, 0.4, 0.2, 0.1, 0.02]),
    ],
)
def test_intervals_cover_the_truth_about_as_often_as_they_say(population: list[int], share: list[float]) -> None:
    sizes = np.array(population)
    truth = np.rint(sizes * np.array(share)).astype(int)
    precision, recall = np.cumsum(truth) / np.cumsum(sizes), np.cumsum(truth) / truth.sum()
    answered, repeats = np.full(len(sizes), 12), 100
    covered = {"precision": np.zeros(len(sizes)), "recall": np.zeros(len(sizes))}
    widths = {"precision": 0.0, "recall": 0.0}
    for seed in range(repeats):
        generator = np.random.default_rng(seed)
        found = curve(sizes, sizes, answered, generator.hypergeometric(truth, sizes - truth, answered), seed=seed)
        for name, true in (("precision", precision), ("recall", recall)):
            low, high = getattr(found, f"{name}_low"), getattr(found, f"{name}_high")
            covered[name] += (low - 1e-9 <= true) & (true <= high + 1e-9)
            widths[name] += (high - low).mean() / repeats
    for name, times in covered.items():
        assert (times / repeats > 0.89).all(), (name, times / repeats)
        assert np.mean(times / repeats) > 0.94
        assert widths[name] < 0.5, name


def test_the_threshold_is_the_largest_with_the_wished_precision() -> None:
    found = curve(np.array([1.0, 2.0, 3.0]), np.array([400] * 3), np.array([300] * 3), np.array([300, 295, 150]))
    choice = choose(found, 0.99)
    assert (choice.estimated, choice.sure) == (1, 0)
    assert choose(found, 0.9999).estimated == 0
    assert choose(curve(np.array([1.0]), np.array([9]), np.array([9]), np.array([5])), 0.9).estimated is None


# -- questions and answers ---------------------------------------------------------------------------------------------


def truth_of(proposal: Proposal) -> dict[str, Answer]:
    return {q.key: "same" if truly_same(q.first, q.second) else "different" for q in proposal.questions}


@pytest.mark.parametrize("method", MEASURES)
def test_with_true_answers_the_estimates_lie_around_the_truth(method: str) -> None:
    photos = copies()
    distance_of, threshold, last = MEASURES[method]
    proposal = propose_questions(photos, method, 150, 2, threshold=threshold)
    result = evaluate_answers(proposal, truth_of(proposal))
    pairs = [
        (distance_of(photos, a, b), truly_same(photos.paths[a], photos.paths[b]))
        for a, b in itertools.combinations(range(len(photos)), 2)
    ]
    copies_in_range = sum(same for distance, same in pairs if distance <= last)
    inside = 0
    for i, end in enumerate(result.curve.threshold):
        within = [same for distance, same in pairs if distance <= end + 1e-6]
        assert result.curve.pairs[i] == len(within)
        precision, recall = np.mean(within), sum(within) / copies_in_range
        inside += result.curve.precision_low[i] - 1e-9 <= precision <= result.curve.precision_high[i] + 1e-9
        inside += result.curve.recall_low[i] - 1e-9 <= recall <= result.curve.recall_high[i] + 1e-9
    assert inside >= 0.85 * 2 * len(result.curve.threshold)
    stated = result_as_json(proposal, result)
    assert json.loads(json.dumps(stated, allow_nan=False)) == stated
    assert stated["answered"] == len(proposal.questions)


def test_skipped_pairs_count_as_not_asked() -> None:
    proposal = propose_questions(copies(), "phash", 60, threshold=5.0)
    answers = truth_of(proposal)
    skipped: dict[str, Answer] = answers | dict.fromkeys(list(answers)[::3], "skip")
    left_out = {key: answer for key, answer in skipped.items() if answer != "skip"}
    result, other = evaluate_answers(proposal, skipped), evaluate_answers(proposal, left_out)
    np.testing.assert_array_equal(result.curve.precision, other.curve.precision)
    assert (result.skipped, other.skipped) == (20, 0)
    with pytest.raises(UserError, match="no pair was answered"):
        evaluate_answers(proposal, dict.fromkeys(answers, "skip"))
    with pytest.raises(UserError, match="target_precision 1"):
        evaluate_answers(proposal, answers, 1.0)


def test_settings_and_distances_are_inverse() -> None:
    assert as_distance("phash", 5) == 5.0
    assert setting("phash", 5.0, str) == "set phash.threshold=5"
    assert as_distance("semantic", 0.95) == pytest.approx(0.31623, abs=1e-5)
    assert setting("semantic", as_distance("semantic", 0.95), "--{}".format) == "--set semantic.threshold=0.9500"


def test_an_interrupted_session_goes_on_where_it_stopped(tmp_path: Path) -> None:
    photos, path = copies(), tmp_path / "calibration-phash.json"
    proposal = propose_questions(photos, "phash", 30, threshold=5.0)
    save_session(path, proposal, {})
    shown: list[str] = []
    script = iter(["s", "what", "D", "skip", "q"])
    ask_questions(
        proposal,
        {},
        photos.root,
        lambda found: save_session(path, proposal, found),
        lambda _: next(script),
        shown.append,
    )
    stored = load_session(path)
    assert stored is not None
    assert stored[0] == proposal
    first = [q.key for q in proposal.questions[:3]]
    assert stored[1] == dict(zip(first, ("same", "different", "skip"), strict=True))
    assert any(str(photos.root / proposal.questions[0].first) in line for line in shown)
    assert "1 of 30" in shown[0]

    def end(_: str) -> str:
        raise EOFError

    asked: list[str] = []
    assert ask_questions(*stored, photos.root, lambda found: None, end, asked.append) == stored[1]
    assert "1 of 27" in asked[0]
    assert any(proposal.questions[3].first in line for line in asked)


def test_files_that_are_no_answers_are_refused(tmp_path: Path) -> None:
    proposal = propose_questions(copies(), "phash", 30, threshold=5.0)
    path = tmp_path / "answers.json"
    pair = proposal.questions[0].key.split(" ")
    good = {"format": 1, "method": "phash", "answers": [[*reversed(pair), "same"]]}
    path.write_text(json.dumps(good))
    assert read_answers(path, proposal) == {proposal.questions[0].key: "same"}
    bad: list[tuple[Any, str]] = [
        ({"format": 2}, "another format"),
        ([], "cannot be read"),
        (good | {"answers": [[*pair, "perhaps"]]}, "perhaps"),
        (good | {"answers": [["same"]]}, "cannot be read"),
        (good | {"method": "dhash"}, "are of method dhash"),
        (good | {"answers": [["0", "1", "same"]]}, "1 of its pairs were not asked"),
    ]
    for content, message in bad:
        path.write_text(json.dumps(content))
        with pytest.raises(UserError, match=message):
            read_answers(path, proposal)
    path.write_text("{")
    with pytest.raises(UserError, match="move it away"):
        load_session(path)
    assert load_session(tmp_path / "absent.json") is None


def test_a_whole_session(tmp_path: Path) -> None:
    photos = copies(30, 40)
    photos.root = tmp_path / "photos"
    for path in photos.paths[:-1]:  # the last one is gone: its pairs are shown without it
        (photos.root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(photos.root / path)
    said: list[str] = []
    assert calibrate(tmp_path, photos, "phash", questions=40, threshold=5, read=None, write=said.append) is None
    assert (tmp_path / "calibration-phash.html").exists()
    stored = load_session(tmp_path / "calibration-phash.json")
    assert stored is not None
    rows = [[*key.split(" "), answer] for key, answer in truth_of(stored[0]).items()]
    (tmp_path / "answers.json").write_text(json.dumps({"format": 1, "method": "phash", "answers": rows}))
    figures = calibrate(
        tmp_path, photos, "phash", questions=40, threshold=5, answers=tmp_path / "answers.json", write=said.append
    )
    assert figures == tmp_path / "threshold-phash.json"
    result = json.loads(figures.read_bytes())
    assert result["answered"] == 40
    assert result["threshold"]["setting"] in " ".join(said)
    with Image.open(tmp_path / "threshold-phash.png") as picture:
        assert min(picture.size) > 300
    # more questions keep the answers, and another collection or seed is told
    calibrate(tmp_path, photos, "phash", questions=60, threshold=5, read=lambda _: "q", write=said.append)
    more = load_session(tmp_path / "calibration-phash.json")
    assert more is not None
    assert len(more[0].questions) == 60
    assert set(more[1]) == {row[0] + " " + row[1] for row in rows}
    with pytest.raises(UserError, match="asks up to a distance of 16"):
        calibrate(tmp_path, photos, "phash", questions=60, max_distance=20, read=None)
    with pytest.raises(UserError, match="are of seed 0"):
        calibrate(tmp_path, photos, "phash", questions=60, seed=1, read=None)
    photos.content[0] = b"f" * 32
    with pytest.raises(UserError, match="before the collection changed"):
        calibrate(tmp_path, photos, "phash", questions=60, read=None)
