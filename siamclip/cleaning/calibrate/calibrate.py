"""Which threshold for my photos? Pairs from the whole range of a method's distance, judged by people.

    RUN/calibration-phash.json    the questions and the answers so far: an interrupted session goes on there
    RUN/calibration-phash.html    the same questions beside the photos; its export is taken back as `answers`
    RUN/threshold-phash.json      precision and recall of every threshold, with intervals
    RUN/threshold-phash.png

How the pairs are drawn: calibrate_sample.py. What the figures mean: calibrate_estimate.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from siamclip.cleaning.calibrate.estimate import Curve, ThresholdChoice, choose, curve
from siamclip.cleaning.calibrate.sample import draw
from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError, printable
from siamclip.files.atomic import write_atomically

FORMAT = 1
Answer: TypeAlias = Literal["same", "different", "skip"]
ANSWERS: tuple[Answer, ...] = ("same", "different", "skip")


@dataclass(frozen=True)
class Question:
    """Two photos (paths and contents), their distance, the bin they were drawn from."""

    first: str
    second: str
    first_content: str
    second_content: str
    distance: float
    bin: int

    @property
    def key(self) -> str:
        """Names the pair by content, whatever the files are called."""
        return " ".join(sorted((self.first_content, self.second_content)))


@dataclass(frozen=True)
class Proposal:
    """The questions, in the order in which they are asked, and the bins that they stand for."""

    method: str
    seed: int
    number: int  # of questions that were wanted; there can be fewer
    threshold: float  # the method's present one, as a distance
    max_distance: float  # the end of the range that was asked about
    upper: tuple[float, ...]
    population: tuple[float, ...]
    counted: bool
    photos: int
    asked: int
    collection: str  # a hash of the contents that were there: the numbers of the bins hold for these
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class CalibrationResult:
    """`curve` at the ends of the bins that hold answers up to there; `answered` and `same`: (B,) counts."""

    method: str
    curve: Curve
    choice: ThresholdChoice
    answered: np.ndarray
    same: np.ndarray
    skipped: int


def propose_questions(
    photos: PhotoTable,
    method: str,
    number: int = 100,
    seed: int = 0,
    *,
    threshold: float,
    max_distance: float | None = None,
) -> Proposal:
    """At most `number` pairs across the range of the method's distance; `threshold` is the present one, a distance.

    The same photos and seed give the same questions; a larger number adds to them. Raises UserError where there is
    nothing to ask.
    """
    sample = draw(photos, method, threshold, number, seed, max_distance)
    content = [bytes(one).decode("ascii") for one in photos.content]
    questions = tuple(
        Question(photos.paths[a], photos.paths[b], content[a], content[b], float(f"{distance:.6g}"), int(place))
        for a, b, distance, place in zip(sample.first, sample.second, sample.distance, sample.bin, strict=True)
    )
    return Proposal(
        method,
        seed,
        number,
        float(threshold),
        float(sample.max_distance),
        tuple(sample.upper.tolist()),
        tuple(sample.population.tolist()),
        sample.counted,
        sample.photos,
        sample.asked,
        collection_of(photos),
        questions,
    )


def collection_of(photos: PhotoTable) -> str:
    """A hash of the contents of the readable photos, whatever they are called."""
    import xxhash

    return xxhash.xxh3_128_hexdigest(np.sort(photos.content[photos.readable]).tobytes())


def evaluate_answers(proposal: Proposal, answers: Mapping[str, Answer], precision: float = 0.99) -> CalibrationResult:
    """Precision and recall with 95% intervals from the answers (by `Question.key`) that are there.

    Raises UserError where none says same or different, or for a wished precision outside (0, 1).
    """
    if not 0 < precision < 1:
        raise UserError("target_precision", "must be between 0 and 1, both excluded", value=precision)
    bins = len(proposal.upper)
    place = {answer: [q.bin for q in proposal.questions if answers.get(q.key) == answer] for answer in ANSWERS}
    same = np.bincount(np.array(place["same"], np.int64), minlength=bins)
    answered = same + np.bincount(np.array(place["different"], np.int64), minlength=bins)
    if not answered.any():
        raise UserError("method", "no pair was answered yet, so there is nothing to tell", value=proposal.method)
    found = curve(np.array(proposal.upper), np.array(proposal.population), answered, same, seed=proposal.seed)
    return CalibrationResult(proposal.method, found, choose(found, precision), answered, same, len(place["skip"]))


# -- the file of questions and answers ----------------------------------------------------------------------------


def save_session(path: Path, proposal: Proposal, answers: Mapping[str, Answer]) -> None:
    """Replace the file in one step. Raises UserError where it cannot be written."""
    questions = [asdict(q) | {"answer": answers.get(q.key)} for q in proposal.questions]
    text = json.dumps({"format": FORMAT, **asdict(proposal), "questions": questions}, indent=1)
    try:
        write_atomically(path, text.encode("ascii"))
    except OSError as error:
        raise UserError("", f"{path}: the answers cannot be saved ({error.strerror})", "make room there") from None


def load_session(path: Path) -> tuple[Proposal, dict[str, Answer]] | None:
    """What `save` wrote; None where there is no file. Raises UserError for another file."""
    try:
        content = json.loads(path.read_bytes())
        questions = [dict(entry) for entry in content.pop("questions")]
        given = [entry.pop("answer") for entry in questions]
        if content.pop("format") != FORMAT:
            raise ValueError("another format")
        content |= {name: tuple(content[name]) for name in ("upper", "population")}
        proposal = Proposal(**content, questions=tuple(Question(**entry) for entry in questions))
        answers = {q.key: _answer(a) for q, a in zip(proposal.questions, given, strict=True) if a is not None}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("", f"{path}: cannot be read ({error})", "move it away to ask anew") from None
    return proposal, answers


def read_answers(path: Path, proposal: Proposal) -> dict[str, Answer]:
    """The answers of an exported file, `{"format": 1, "method": ..., "answers": [[content, content, answer], ...]}`.

    Raises UserError for a file of another form or method, and for a pair that was not asked.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError("another format")
        answers = {" ".join(sorted((str(a), str(b)))): _answer(answer) for a, b, answer in content["answers"]}
        method = content["method"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError("answers", f"cannot be read ({error!r})", "export it from the page again", path) from None
    if method != proposal.method:
        raise UserError("answers", f"are of `method` {method}, not of {proposal.method}", value=path)
    unknown = answers.keys() - {question.key for question in proposal.questions}
    if unknown:
        raise UserError(
            "answers", f"{len(unknown)} of its pairs were not asked here", "export it from the page again", path
        )
    return answers


def _answer(text: object) -> Answer:
    for answer in ANSWERS:
        if text == answer:
            return answer
    raise ValueError(f"{text!r} is none of {', '.join(ANSWERS)}")


# -- asking on the terminal ---------------------------------------------------------------------------------------


def ask_questions(
    proposal: Proposal,
    answers: Mapping[str, Answer],
    root: Path,
    record: Callable[[dict[str, Answer]], None],
    read: Callable[[str], str] = input,
    write: Callable[[str], None] = print,
) -> dict[str, Answer]:
    """Ask for what is not answered yet; `record` gets all answers after each. Ends at q, or at the end of the input."""
    found = dict(answers)
    words: dict[str, Answer] = {"s": "same", "d": "different", "skip": "skip"}
    waiting = [question for question in proposal.questions if question.key not in found]
    for number, question in enumerate(waiting, 1):
        write(f"\n{number} of {len(waiting)}")
        for path in (question.first, question.second):
            write(f"  {printable(str(root / path))}")
        while (said := _said(read)) not in (*words, "q"):
            write("s: copies of one photo, d: different photos, skip: I cannot tell, q: go on another time")
        if said == "q":
            break
        found[question.key] = words[said]
        record(found)
    return found


def _said(read: Callable[[str], str]) -> str:
    try:
        return read("same photo? [s/d/skip/q] ").strip().lower()
    except EOFError:
        return "q"


# -- thresholds as settings and as distances ------------------------------------------------------------------------


def as_distance(method: str, threshold: float) -> float:
    """A method's `threshold` setting as a distance: Euclidean from a cosine for embeddings, bits for hashes."""
    return math.sqrt(max(0.0, 2 - 2 * threshold)) if METHODS[method].semantic else float(threshold)


# -- what came out ------------------------------------------------------------------------------------------------


def setting(method: str, distance: float, called: Callable[[str], str]) -> str:
    """What sets the method's threshold to a distance, as the reader writes it: the inverse of `as_distance`.

    `called`: what the reader calls a setting; a script's flag, for one.
    """
    value = f"{1 - distance**2 / 2:.4f}" if METHODS[method].semantic else f"{distance:.0f}"
    return f"{called('set')} {method}.threshold={value}"


def result_as_json(proposal: Proposal, result: CalibrationResult, called: Callable[[str], str] = str) -> dict[str, Any]:
    """Plain types: the rows of the curve, the threshold for the wished precision, what recall is relative to.

    `called`: see `setting`.
    """
    names = (
        "threshold",
        "pairs",
        "precision",
        "precision_low",
        "precision_high",
        "recall",
        "recall_low",
        "recall_high",
    )
    columns = [getattr(result.curve, name) for name in names]
    rows = [
        dict(zip(names, (float(v) if np.isfinite(v) else None for v in row), strict=True))
        | {"answered": int(answered), "same": int(same), "setting": setting(proposal.method, row[0], called)}
        for *row, answered, same in zip(*columns, result.answered, result.same, strict=True)
    ]
    return {
        "format": FORMAT,
        "method": proposal.method,
        "wished_precision": result.choice.wished,
        "threshold": rows[result.choice.estimated] if result.choice.estimated is not None else None,
        "threshold_surely": rows[result.choice.sure] if result.choice.sure is not None else None,
        "confidence": 0.95,
        "recall_is_relative_to": f"copies of other bytes within a distance of {proposal.max_distance:g}",
        "pairs_are": "counted" if proposal.counted else f"estimated from {proposal.asked} of {proposal.photos} photos",
        "answered": int(result.answered.sum()),
        "skipped": result.skipped,
        "thresholds": rows,
    }


def result_lines(proposal: Proposal, result: CalibrationResult, called: Callable[[str], str] = str) -> list[str]:
    """For the terminal: a line a threshold, then the one to take. `called`: see `setting`."""
    found, chosen = result.curve, result.choice
    lines = [f"{int(result.answered.sum())} answers, {result.skipped} skipped; 95% intervals in brackets"]
    for i, distance in enumerate(found.threshold):
        precision, recall = (
            "unknown" if np.isnan(value[i]) else f"{value[i]:.3f}" for value in (found.precision, found.recall)
        )
        lines.append(
            f"distance {distance:8.4g}: {found.pairs[i]:12,.0f} pairs, "
            f"precision {precision} [{found.precision_low[i]:.3f}, {found.precision_high[i]:.3f}], "
            f"recall {recall} [{found.recall_low[i]:.3f}, {found.recall_high[i]:.3f}]"
        )
    lines.append(f"recall is relative to the copies of other bytes within a distance of {proposal.max_distance:g}")
    if chosen.estimated is None:
        lines.append(f"no threshold reaches a precision of {chosen.wished}")
        return lines
    advice = setting(proposal.method, float(found.threshold[chosen.estimated]), called)
    lines.append(f"for a precision of {chosen.wished}: {advice}")
    if chosen.sure != chosen.estimated:
        sure = "of no threshold" if chosen.sure is None else f"only up to {found.threshold[chosen.sure]:g}"
        lines.append(f"with 95% confidence these answers show that {sure}; more {called('questions')} narrow it")
    return lines
