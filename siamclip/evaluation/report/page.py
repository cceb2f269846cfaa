"""The HTML report: the content of metrics.json, the plots and the worst errors on one page without any other file."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siamclip.data.image.decode import decode
from siamclip.data.image.thumbnails import data_uri
from siamclip.errors import printable
from siamclip.evaluation.report.labels import (
    CARDS,
    COMPARED,
    DEFINITIONS,
    METRIC_LABELS,
    NOT_IN_COMPARISON,
    threshold_origin,
)

THUMBNAIL_SIDE = 260  # pixels; the page shows them at about 160, phones with twice the pixels


@dataclass(frozen=True)
class PhotoPair:
    """A pair to show: files, the paths to print, distance in [0, 2], probability of "same" in [0, 1]."""

    files: tuple[Path, Path]
    paths: tuple[str, str]
    distance: float
    probability: float


def evaluation_page(
    results: Mapping[str, Any],
    plots: Mapping[str, Path],
    clone_plot: Path | None,
    false_accepts: Sequence[PhotoPair],
    false_rejects: Sequence[PhotoPair],
    settings_text: str,
) -> str:
    """The page. `results` is what metrics.json holds; plots: name -> PNG. Names are escaped, whatever is in them."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    page = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {"decimal": "{:.4f}".format, "bound": "{:.3f}".format, "count": "{:,}".format}
    page.filters |= {"plain": printable, "lines": _printable_lines}
    metrics = results["figures"]
    return page.get_template("report.html.jinja").render(
        r=results,
        cards=[(METRIC_LABELS[key], metrics[key]) for key in CARDS if key in metrics],
        comparison_columns=[(key, METRIC_LABELS[key]) for key in COMPARED if key not in NOT_IN_COMPARISON],
        metric_rows=[(key, name) for key, name in METRIC_LABELS.items() if key in metrics],
        plots=[(name, data_uri(path.read_bytes(), "image/png")) for name, path in plots.items()],
        clone_plot=data_uri(clone_plot.read_bytes(), "image/png") if clone_plot else None,
        false_accepts=[_as_shown(pair) for pair in false_accepts],
        false_rejects=[_as_shown(pair) for pair in false_rejects],
        definitions=DEFINITIONS,
        settings_text=settings_text,
        threshold_origin=threshold_origin(results["decision"]),
    )


def _as_shown(pair: PhotoPair) -> dict[str, Any]:
    sides = [
        {"image": photo_data_uri(file), "path": printable(path)}
        for file, path in zip(pair.files, pair.paths, strict=True)
    ]
    return {"sides": sides, "distance": pair.distance, "probability": pair.probability}


def photo_data_uri(file: Path, side: int = THUMBNAIL_SIDE) -> str:
    """A JPEG of the photo, not larger than `side` x `side`, as a data URI. Raises ImageError if it cannot be read."""
    from PIL import Image

    photo = Image.fromarray(decode(file, min_side=side))
    photo.thumbnail((side, side))
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=82)
    return data_uri(content.getvalue(), "image/jpeg")


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
