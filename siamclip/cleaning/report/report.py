"""The HTML report of a cleaning run: what was found, beside the photos, and the place where people decide.

The page holds its data as JSON and builds what is shown from it, a screen at a time, so that 20,000 findings stay
usable. What people decide there is exported as decisions.json (see apply/user_decisions.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from siamclip.cleaning.contracts import NO_GROUP
from siamclip.cleaning.find.decide import WITHOUT_LABEL
from siamclip.cleaning.find.results import Columns
from siamclip.cleaning.method_table import FAMILIES, METHODS
from siamclip.cleaning.report.chinese import CHINESE
from siamclip.cleaning.report.page import assemble, folder_url, write_page
from siamclip.data.image.thumbnails import BUDGET, Progress, thumbnails

SCRIPTS = tuple(
    Path(__file__).parent / "scripts" / f"{name}.js"
    for name in ("texts", "page", "messages", "state", "items", "cards", "overview", "view")
)
MOST_PAIRS = 200_000  # of members of one group, as evidence; about 6 MB of the page


@dataclass(frozen=True)
class ReportData:
    """What a report shows.

    findings: columns path, content, method, score, flagged, reason, group, keep, related (a path or "").
    pairs: columns method, first, second (paths), distance, inliers (-1: not counted).
    Paths are relative to `root`, with forward slashes; bytes are taken as file names are.
    class_counts: identity, photos before, photos after what is proposed; empty for a flat collection.
    notes: method -> what it says of itself; its "questioned" is a sentence, or several, on its threshold.
    scan: at least "photos" and "unreadable".
    run: names the run; decisions that a browser remembers belong to it.
    """

    run: str
    root: Path
    created: str
    findings: Columns
    pairs: Columns
    class_counts: Sequence[tuple[str, int, int]]
    notes: Mapping[str, Mapping[str, Any]]
    scan: Mapping[str, int]
    settings: str
    layout: Literal["classes", "sides", "flat"] = "classes"  # which folder of a path is its class
    warnings: Sequence[str] = ()
    contents: Mapping[str, str] = field(default_factory=dict)  # path -> content hash, of photos without a finding


@dataclass(frozen=True)
class WrittenReport:
    """What a report came to."""

    path: Path
    bytes: int
    photos: int
    embedded: int  # thumbnails inside the page
    unreadable: int  # photos that gave no thumbnail


def write_report(
    data: ReportData,
    path: Path,
    *,
    budget: int = BUDGET,
    threads: int | None = None,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write the page to `path`, which may lie anywhere. Raises UserError where it cannot be written.

    budget: bytes of thumbnails that are embedded; photos beyond it are shown from their own files.
    """
    page, written = _rendered(data, path, budget, threads, progress)
    write_page(page, path)
    return written


def render_report(data: ReportData, path: Path, *, budget: int = BUDGET, threads: int | None = None) -> str:
    """The page as it would be written to `path`."""
    return _rendered(data, path, budget, threads, None)[0]


def _rendered(
    data: ReportData, path: Path, budget: int, threads: int | None, progress: Progress | None
) -> tuple[str, WrittenReport]:
    photos = _Photos(dict(data.contents))
    findings = _findings(data.findings, photos)
    pairs, omitted = _pairs(data.pairs, findings, photos)
    # One thumbnail for all files of the same bytes; files whose bytes are unknown are each their own.
    same: dict[str, int] = {}
    source = [same.setdefault(content or f"path:{name}", i) for i, (name, content) in enumerate(photos.items())]
    sources = sorted(set(source))
    small = thumbnails([data.root / photos.paths[i] for i in sources], budget, threads=threads, progress=progress)
    images = [image for image in small.images if image is not None]
    number = np.cumsum([image is not None for image in small.images]) - 1
    place = {i: int(number[k]) if small.images[k] is not None else -1 for k, i in enumerate(sources)}
    errors = {i: small.errors[k] for k, i in enumerate(sources) if small.errors[k]}
    broken = {i: errors[first] for i, first in enumerate(source) if first in errors}
    names = list(dict.fromkeys([*findings["methods"], *pairs["methods"], *data.notes]))
    content = {
        "run": data.run,
        "root": str(data.root),
        "base": folder_url(data.root, path),
        "created": data.created,
        "scan": dict(data.scan),
        "settings": data.settings,
        "layout": data.layout,
        "warnings": list(data.warnings),
        "classes": [list(row) for row in data.class_counts],
        "notes": {method: _plain(notes) for method, notes in data.notes.items()},
        "families": list(FAMILIES),
        "methods": {name: _described(name) for name in names},
        "views": dict(_placed(name) for name in names),
        "withoutLabel": WITHOUT_LABEL,
        "chinese": CHINESE,
        "photos": {"path": photos.paths, "content": photos.contents, "image": [place[i] for i in source]},
        "errors": broken,
        "findings": findings,
        "pairs": pairs,
        "pairsOmitted": omitted,
    }
    title = f"{data.root.name or data.root}: cleaning"
    page = assemble(title, "report.html.jinja", SCRIPTS, content, images)
    return page, WrittenReport(path, len(page), len(photos.paths), len(images), len(broken))


class _Photos:
    """Paths in the order in which they are first named, each once."""

    def __init__(self, contents: dict[str, str]) -> None:
        self.paths: list[str] = []
        self.contents: list[str] = []
        self._known = contents
        self._places: dict[str, int] = {}

    def place(self, path: str, content: str = "") -> int:
        if path not in self._places:
            self._places[path] = len(self.paths)
            self.paths.append(path)
            self.contents.append(content or self._known.get(path, ""))
        place = self._places[path]
        self.contents[place] = self.contents[place] or content
        return place

    def items(self) -> list[tuple[str, str]]:
        return list(zip(self.paths, self.contents, strict=True))


def _findings(table: Columns, photos: _Photos) -> dict[str, Any]:
    """Columns of plain numbers; methods and reasons are numbered, for a reason repeats."""
    methods, method = _numbered(_texts(table, "method"))
    reasons, reason = _numbered(_texts(table, "reason"))
    contents = _texts(table, "content")
    rows = [photos.place(*named) for named in zip(_texts(table, "path"), contents, strict=True)]
    return {
        "methods": methods,
        "method": method,
        "reasons": reasons,
        "reason": reason,
        "photo": rows,
        "related": [photos.place(path) if path else -1 for path in _texts(table, "related")],
        "score": _rounded(_column(table, "score")),
        "group": [int(value) for value in _column(table, "group")],
        "flagged": [int(value) for value in _column(table, "flagged")],
        "keep": [int(value) for value in _column(table, "keep")],
    }


def _pairs(table: Columns, findings: Mapping[str, Any], photos: _Photos) -> tuple[dict[str, Any], int]:
    """The pairs whose photos share a group: the page's evidence. Also how many of them were left out."""
    number = {path: place for place, path in enumerate(photos.paths)}
    first = np.array([number.get(path, -1) for path in _texts(table, "first")], np.int64)
    second = np.array([number.get(path, -1) for path in _texts(table, "second")], np.int64)
    together, to_keeper = np.zeros(len(first), bool), np.zeros(len(first), bool)
    view = np.array([_placed(name)[0] for name in findings["methods"]], object)[findings["method"]]
    rows = {name: np.array(findings[name], np.int64) for name in ("photo", "group", "related")}
    for name in sorted({_placed(method)[0] for method in findings["methods"] if _groups_copies(method)}):
        chosen = (view == name) & (rows["group"] != NO_GROUP)
        # one entry more than there are photos, at -1: for those that are not on the page
        group, keeper = np.full(len(photos.paths) + 1, NO_GROUP, np.int64), np.zeros(len(photos.paths) + 1, bool)
        group[rows["photo"][chosen]] = rows["group"][chosen]
        keeper[rows["related"][chosen]] = True
        keeper[-1] = False
        same = (group[first] == group[second]) & (group[first] != NO_GROUP)
        together |= same
        to_keeper |= same & (keeper[first] | keeper[second])
    shown = np.flatnonzero(together)
    kept = shown[np.argsort(~to_keeper[shown], kind="stable")][:MOST_PAIRS]
    methods, method = _numbered([str(name) for name in np.array(_texts(table, "method"), object)[kept]])
    return {
        "methods": methods,
        "method": method,
        "first": first[kept].tolist(),
        "second": second[kept].tolist(),
        "distance": _rounded(_column(table, "distance")[kept]),
        "inliers": [int(value) for value in _column(table, "inliers")[kept]],
    }, len(shown) - len(kept)


def _described(name: str) -> dict[str, str]:
    method = METHODS.get(name)
    return {"view": _placed(name)[0], "sees": method.does if method else ""}


def _placed(name: str) -> tuple[str, str]:
    """View of the page, and the family under which it is listed. All methods that look for copies share a view."""
    family = METHODS[name].family if name in METHODS else "labels"  # label conflicts have no method of their own
    return ("duplicates" if family == "duplicates" else name), family


def _groups_copies(name: str) -> bool:
    return name not in METHODS or METHODS[name].groups_copies


def _column(table: Columns, name: str) -> np.ndarray:
    column = table[name]
    return np.asarray(column.to_pylist() if hasattr(column, "to_pylist") else column)


def _texts(table: Columns, name: str) -> list[str]:
    """Names that are no UTF-8 come as bytes where a table has no lone surrogates (Arrow's strings have none)."""
    column = table[name]
    values = column.to_pylist() if hasattr(column, "to_pylist") else list(column)
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else str(v) for v in values]


def _numbered(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    numbers: dict[str, int] = {}
    places = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), places


def _rounded(values: np.ndarray) -> list[float | None]:
    """Six digits, whatever the unit; None for NaN and infinity, which JSON has no words for."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.asarray(values, np.float64)]


def _plain(notes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | int | list) else (float(f"{value:.6g}") if np.isfinite(value) else None)
        for key, value in notes.items()
    }
