"""Answers: what they say of a threshold, and that no interruption loses them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamclip.cleaning.calibrate.calibrate import (
    Answer,
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
from siamclip.errors import UserError
from tests.cleaning.calibrate.copied_photos import MEASURES, copies, truly_same, truth_of


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
