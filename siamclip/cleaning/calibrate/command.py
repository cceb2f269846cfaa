"""`clean.py calibrate`: one session of calibration in a RUN folder.

Questions are made or taken up again, answers come in, a threshold comes out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from siamclip.cleaning.calibrate.calibrate import (
    Answer,
    Proposal,
    as_distance,
    ask_questions,
    collection_of,
    evaluate_answers,
    load_session,
    propose_questions,
    read_answers,
    result_as_json,
    result_lines,
    save_session,
)
from siamclip.cleaning.calibrate.page import write_calibration_page
from siamclip.cleaning.calibrate.plot import plot_calibration
from siamclip.cleaning.calibrate.sample import check_has_distance
from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.find.results import effective_threshold
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.photo_table import Layout, open_photos
from siamclip.cli.console import new_console, say
from siamclip.cli.progress_bars import Bars
from siamclip.data.image.thumbnails import Progress
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically


def calibrate_command(
    run: RunFolder,
    *,
    method: str,
    questions: int,
    answers: str | None,
    target_precision: float,
    seed: int,
    layout: Layout,
    called: Callable[[str], str] = str,
) -> None:
    """As `calibrate` below, on the photos of RUN and the threshold that the last find had.

    Asks on a terminal only. Raises UserError.
    """
    console = new_console()
    with run.lock("calibrate"):
        photos = open_photos(run, layout=layout, archive=run.archive)
        with Bars(console) as bars:
            stages = bars.stages()

            def said(text: str) -> None:
                bars.stop()  # no bar where a question stands
                say(console, *text.splitlines())

            calibrate(
                run.path,
                photos,
                method,
                questions=questions,
                seed=seed,
                precision=target_precision,
                threshold=effective_threshold(run, method),
                answers=None if answers is None else Path(answers),
                read=input if sys.stdin.isatty() else None,
                write=said,
                called=called,
                progress=lambda done, total: stages("thumbnails", done, total),
            )


def calibrate(
    folder: Path,
    photos: PhotoTable,
    method: str,
    *,
    questions: int = 100,
    seed: int = 0,
    precision: float = 0.99,
    threshold: float | None = None,
    max_distance: float | None = None,
    answers: Path | None = None,
    read: Callable[[str], str] | None = input,
    write: Callable[[str], None] = print,
    progress: Progress | None = None,
    called: Callable[[str], str] = str,
) -> Path | None:
    """Ask (or take `answers`), and write what calibrate.py lists into `folder`; the figures as JSON, None without any.

    `threshold`: the method's present setting, in its own unit; None for its default. `max_distance`: the largest
    distance to ask about; None for the one of calibrate_sample.default_range. `read` None asks nothing: the page is
    written, and the figures of the answers that are there. `called`: what the reader calls a setting, in the lines and
    in the figures. Raises UserError.
    """
    place = folder / f"calibration-{method}.json"
    proposal, given = _questions(place, photos, method, questions, seed, threshold, max_distance)
    if answers is not None:
        given |= read_answers(answers, proposal)
    save_session(place, proposal, given)
    page = place.with_suffix(".html")
    run = f"{photos.root} {proposal.collection}"
    write_calibration_page(proposal, given, photos.root, page, run=run, progress=progress)
    write(f"the pairs side by side: {page}; its export is taken with {called('answers')}")
    if answers is None and read is not None:
        given = ask_questions(
            proposal, given, photos.root, lambda found: save_session(place, proposal, found), read, write
        )
    if not {"same", "different"} & set(given.values()):
        write("no answers yet")
        return None
    result = evaluate_answers(proposal, given, precision)
    for line in result_lines(proposal, result, called):
        write(line)
    figures = folder / f"threshold-{method}.json"
    try:
        write_atomically(figures.with_suffix(".png"), plot_calibration(proposal, result))
        write_atomically(figures, json.dumps(result_as_json(proposal, result, called), indent=1).encode("ascii"))
    except OSError as error:
        raise UserError("", f"{figures}: cannot be written ({error.strerror})", "make room there") from None
    return figures


def _questions(
    place: Path,
    photos: PhotoTable,
    method: str,
    number: int,
    seed: int,
    threshold: float | None,
    max_distance: float | None,
) -> tuple[Proposal, dict[str, Answer]]:
    stored = load_session(place)
    if stored is None:
        check_has_distance(method)
        if threshold is None and "threshold" in METHODS[method].settings():
            threshold = float(METHODS[method].settings()["threshold"].default)
        distance = as_distance(method, 0.0 if threshold is None else threshold)
        return propose_questions(photos, method, number, seed, threshold=distance, max_distance=max_distance), {}
    proposal, given = stored
    if proposal.collection != collection_of(photos):
        raise UserError(
            "", f"{place}: its pairs were drawn before the collection changed", "move it away to draw new ones"
        )
    if proposal.seed != seed:
        raise UserError(
            "", f"{place}: its pairs are of `seed` {proposal.seed}", "give that to go on, or move the file away"
        )
    if max_distance not in (None, proposal.max_distance):
        raise UserError(
            "", f"{place}: asks up to a distance of {proposal.max_distance:g}", "move the file away for another"
        )
    if proposal.number < number:
        now, last = proposal.threshold, proposal.max_distance
        proposal = propose_questions(photos, method, number, seed, threshold=now, max_distance=last)
    return proposal, given
