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

THUMBNAIL_SIDE = 260  # pixels; the page shows them at about 160, phones with twice the pixels

FIGURE_NAMES = {
    "auc": "AUC",
    "eer": "EER",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall (TAR)",
    "f1": "F1",
    "far": "False accept rate",
    "frr": "False reject rate",
    "average_precision": "Average precision",
    "tar_at_far_0.1": "TAR at FAR 10%",
    "tar_at_far_0.01": "TAR at FAR 1%",
    "tar_at_far_0.001": "TAR at FAR 0.1%",
    "tar_at_far_0.0001": "TAR at FAR 0.01%",
    "ece": "Calibration error (ECE)",
    "rank1": "Rank-1",
    "rank5": "Rank-5",
    "rank10": "Rank-10",
    "mAP": "mAP",
}
COMPARED = (
    "auc", "eer", "accuracy", "f1", "tar_at_far_0.1", "tar_at_far_0.01", "tar_at_far_0.001", "tar_at_far_0.0001",
    "rank1", "mAP",
)  # fmt: skip
NOT_SHOWN = ("tar_at_far_0.0001",)  # for want of room beside the others; the table of all figures has it
CARDS = ("auc", "eer", "accuracy", "f1", "tar_at_far_0.01", "rank1")
DEFINITIONS = (
    ("Distance", "Euclidean, between embeddings of length one: 0 is identical, 2 opposite. Lower is more alike."),
    ("AUC", "The probability that a same pair is nearer than a different one."),
    ("FAR, FRR", "False accept rate: share of different pairs judged same. False reject rate: share of same pairs "
     "judged different."),
    ("EER", "Equal error rate: the rate at which FAR and FRR are equal, whatever the threshold."),
    ("TAR at FAR x", "The share of same pairs judged same at the largest threshold that accepts at most a share x of "
     "different pairs."),
    ("Accuracy, precision, recall, F1", "At the threshold. “Same” is the positive class."),
    ("Average precision", "Precision, averaged over the recall gained as the threshold rises."),
    ("Rank-k, mAP", "Each photo is looked for among all the others: the share whose first k answers hold its own "
     "identity, and the mean over photos of the average precision of their ranking."),
    ("ECE", "Expected calibration error: the calibrated probability of “same” against the share that is the same, as a "
     "mean difference over ten bins. Chance alone makes it larger, the more so the fewer the pairs."),
    ("95% interval", "From a bootstrap that draws identities, for pairs that share an identity are not independent. "
     "The threshold is held fixed."),
)  # fmt: skip


@dataclass(frozen=True)
class PhotoPair:
    """A pair to show: files, the paths to print, distance in [0, 2], probability of "same" in [0, 1]."""

    files: tuple[Path, Path]
    paths: tuple[str, str]
    distance: float
    probability: float


def render(
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
    figures = results["figures"]
    return page.get_template("report.html.jinja").render(
        r=results,
        cards=[(FIGURE_NAMES[key], figures[key]) for key in CARDS if key in figures],
        comparison_columns=[(key, FIGURE_NAMES[key]) for key in COMPARED if key not in NOT_SHOWN],
        figure_rows=[(key, name) for key, name in FIGURE_NAMES.items() if key in figures],
        plots=[(name, data_uri(path.read_bytes(), "image/png")) for name, path in plots.items()],
        clone_plot=data_uri(clone_plot.read_bytes(), "image/png") if clone_plot else None,
        false_accepts=[_shown(pair) for pair in false_accepts],
        false_rejects=[_shown(pair) for pair in false_rejects],
        definitions=DEFINITIONS,
        settings_text=settings_text,
        threshold_story=threshold_story(results["decision"]),
    )


def threshold_story(decision: Mapping[str, Any]) -> str:
    """Where a threshold comes from, as the end of a sentence."""
    rules = {
        "f1": "the best F1",
        "accuracy": "the best accuracy",
        "eer": "equal error rates",
        "far": f"a false accept rate of at most {decision['target_far']}",
    }
    rule = rules[decision["rule"]]
    if decision["chosen_on"] == "validation":
        return f"the one with {rule} on validation identities, which are not among those that are reported"
    return f"the one that the checkpoint stores, with {rule} on the validation identities of its training"


def _shown(pair: PhotoPair) -> dict[str, Any]:
    sides = [
        {"image": thumbnail(file), "path": printable(path)} for file, path in zip(pair.files, pair.paths, strict=True)
    ]
    return {"sides": sides, "distance": pair.distance, "probability": pair.probability}


def thumbnail(file: Path, side: int = THUMBNAIL_SIDE) -> str:
    """A JPEG of the photo, not larger than `side` x `side`, as a data URI. Raises ImageError if it cannot be read."""
    from PIL import Image

    photo = Image.fromarray(decode(file, min_side=side))
    photo.thumbnail((side, side))
    content = io.BytesIO()
    photo.save(content, "JPEG", quality=82)
    return data_uri(content.getvalue(), "image/jpeg")


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line) for line in text.split("\n"))
