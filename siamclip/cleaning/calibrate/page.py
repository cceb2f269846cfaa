"""The page on which people compare the pairs of a calibration and export their answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from siamclip.cleaning.calibrate.calibrate import Answer, Proposal
from siamclip.cleaning.report.page import PAGE_SCRIPT, assemble, folder_url, write_page
from siamclip.data.image.thumbnails import BUDGET, Progress, thumbnails

_HERE = Path(__file__).parent
SCRIPTS = (_HERE / "texts.js", PAGE_SCRIPT, _HERE / "view.js")
SIDE = 480  # pixels: people look for small differences, at two photos at a time


def write_calibration_page(
    proposal: Proposal,
    answers: Mapping[str, Answer],
    root: Path,
    path: Path,
    *,
    run: str,
    budget: int = BUDGET,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write the page to `path`. `run` and the method name what the browser remembers. Raises UserError."""
    write_page(
        render_calibration_page(
            proposal, answers, root, path, run=run, budget=budget, threads=threads, progress=progress
        ),
        path,
    )


def render_calibration_page(
    proposal: Proposal,
    answers: Mapping[str, Answer],
    root: Path,
    path: Path,
    *,
    run: str,
    budget: int = BUDGET,
    threads: int | None = None,
    progress: Progress | None = None,
) -> str:
    """The page as it would be written to `path`: each photo once, its bytes inside up to `budget`."""
    places: dict[str, int] = {}
    names = [
        (places.setdefault(question.first, len(places)), places.setdefault(question.second, len(places)))
        for question in proposal.questions
    ]
    small = thumbnails([root / name for name in places], budget, side=SIDE, threads=threads, progress=progress)
    images = [image for image in small.images if image is not None]
    data = {
        "run": run,
        "method": proposal.method,
        "seed": proposal.seed,
        "root": str(root),
        "base": folder_url(root, path),
        "photos": {"path": list(places), "image": _numbers([image is not None for image in small.images])},
        "questions": [
            [a, b, q.first_content, q.second_content, answers.get(q.key)]
            for (a, b), q in zip(names, proposal.questions, strict=True)
        ],
    }
    return assemble(f"{proposal.method}: calibration", "report.html.jinja", SCRIPTS, data, images)


def _numbers(there: list[bool]) -> list[int]:
    count = 0
    numbers = []
    for is_there in there:
        numbers.append(count if is_there else -1)
        count += is_there
    return numbers
