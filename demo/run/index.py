"""demo_output/index.html: one self-contained page with the results of the demo, and a link to every report."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demo.run import results
from demo.run.console import SCORE_COLUMNS, evaluation_rows, interval, score_row
from demo.run.steps import DemoFolder, Step
from siamclip.data.image.thumbnails import data_uri, thumbnail
from siamclip.files.atomic import write_atomically

_HERE = Path(__file__).parent
_LOG_LINES = 400  # of a log that are shown, the newest
_FUSED = 8  # fused photos that are shown, each with the two that it was made of

# path below the demo's folder, its text in English and in Chinese
REPORTS = (
    ("report/report.html", "Evaluation", "评估报告"),
    ("clean/report.html", "Cleaning: look and decide", "清洗报告：查看并决定"),
    ("fused/contact_sheet.png", "Fused photos", "融合的照片"),
    ("logs/demo/training_curves.png", "Training curves", "训练曲线"),
    ("report/metrics.json", "All figures of the evaluation", "评估的全部数据"),
    ("report/comparison.csv", "Fine-tuned and pretrained, compared", "微调与预训练的比较"),
    ("report/pairs.csv", "Every pair that was evaluated", "评估的每一对照片"),
    ("three_answers.csv", "The three answers", "三个回答"),
    ("clean/findings.csv", "Findings of cleaning", "清洗的发现"),
    ("clean/class_counts.csv", "Photos of each identity before and after", "各身份清洗前后的照片数"),
    ("dirty/ground_truth.csv", "What was planted", "植入的缺陷"),
    ("fused/manifest.csv", "How each fused photo was made", "每张融合照片的来历"),
    ("fused/similarities.png", "Similarities of pairs of photos", "照片对的相似度"),
)
_PLOTS = (
    "logs/demo/training_curves.png",
    "report/distance_histogram.png",
    "report/roc.png",
    "report/cloned_plates.png",
)


def write_index(folder: DemoFolder, steps: Sequence[Step]) -> None:
    """Write the page of a finished demo in one step."""
    write_atomically(folder.index, index_page(folder, steps).encode("utf-8"))


def index_page(folder: DemoFolder, steps: Sequence[Step]) -> str:
    """The page's HTML. There is no script; the content security policy lets its style and its inlined images through
    and nothing else, so no request leaves it.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    style = "\n" + (_HERE / "index.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    pages = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    metrics, trained = results.evaluation(folder), results.training(folder)
    return pages.get_template("index.html.jinja").render(
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'",
        style=Markup(style),
        answers=[_answer(answer) for answer in results.answers(folder)],
        trained=trained,
        metrics=metrics,
        evaluation=evaluation_rows(metrics),
        clones=interval(metrics["cloned_plates"]["figures"]["clones_judged_different"]),
        score_columns=SCORE_COLUMNS,
        scores=[score_row(score) for score in results.found(folder)],
        runs=[results.cleaned(run) for run in (folder.clean, folder.clean_outliers)],
        fused=results.fused(folder),
        strip=_strip(results.fused(folder), folder),
        plots=[(name, picture(folder.root / name, 640)) for name in _PLOTS if (folder.root / name).is_file()],
        reports=[row for row in REPORTS if (folder.root / row[0]).is_file()],
        steps=[(step.command, _log(log)) for step, log in zip(steps, folder.step_logs(steps), strict=True)],
        link=quote,
    )


def picture(file: Path, side: int) -> str:
    """A data: URI of a JPEG no larger than `side` x `side` pixels."""
    return data_uri(thumbnail(file, side), "image/jpeg")


def _answer(answer: results.Answer) -> dict[str, Any]:
    return {
        "photos": [picture(answer.first, 400), picture(answer.second, 400)],
        "names": [name.removeprefix("data/vehicles/") for name in answer.names],
        "answer": answer.answer,
        "question": answer.question,
        "is_right": answer.is_right,
        "distance": f"{answer.distance:.4f}",
        "confidence": f"{answer.confidence:.1%}",
    }


def _strip(fused: results.Fused, folder: DemoFolder) -> list[dict[str, Any]]:
    """The most similar pairs, each with the first image of it that was kept."""
    pairs = {(row["first"], row["second"]): row for row in reversed(fused.kept)}
    rows = sorted(pairs.values(), key=lambda row: -float(row["similarity"]))[:_FUSED]
    shown = []
    for row in rows:
        files = (folder.vehicles / row["first"], folder.vehicles / row["second"], folder.fused / row["path"])
        similarity = f"{float(row['similarity']):.3f}"
        photos = [picture(file, 160) for file in files]
        shown.append({"method": row["method"], "similarity": similarity, "photos": photos})
    return shown


def _log(path: Path) -> str:
    """The newest lines of a log, without colours."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", path.read_text(encoding="utf-8"))
    return "\n".join(text.splitlines()[-_LOG_LINES:])
