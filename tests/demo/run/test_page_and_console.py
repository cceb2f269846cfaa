"""What a finished demo shows: two screens on the terminal, and one page that links every report.

The results are as the steps write them, with figures of our own in place of a demo of seven minutes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from base64 import b64encode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from demo.dirty.score import METHODS
from demo.run import __main__ as program
from demo.run import results
from demo.run.index import REPORTS, index_page, write_index
from demo.run.process import Outcome
from demo.run.steps import DemoFolder, Step, demo_steps
from siamclip.evaluation.report.console import SHOWN
from tests.cleaning.report_samples import chromium

ODD_NAME = "<b>&\"'京"
HOSTILE = "<script>window.injected=1</script>&\"'京"
TRAINED = ["粤EF36045", "京K2J97J", "粤EF36045~clone"]


def photo(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((60, 80, 3), shade, np.uint8)).save(path, "JPEG")


def table(path: Path, rows: list[dict[str, Any]], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def write_training(folder: DemoFolder) -> None:
    metrics = {"val_auc": 0.94361, "val_eer": 0.12671, "val_accuracy_at_threshold": 0.8651, "val_loss": 0.40971}
    best = {
        "split": {"train": TRAINED[:1], "val": TRAINED[1:2], "test": TRAINED[2:]}, "epoch": 7, "wise_ft_alpha": 0.9,
        "metrics": metrics, "threshold": {"value": 1.01082, "rule": "f1", "chosen_on": "validation"},
    }  # fmt: skip
    write_json(folder.run / "best" / "metadata.json", best)
    first = {
        "val_auc": 0.76641,
        "val_eer": 0.30411,
        "val_accuracy_at_threshold": 0.5033,
        "val_loss": 0.35211,
        "val_threshold": 0.95124,
    }
    rest = {"mean_cosine": 0.55, "effective_rank": 98.6}
    trained = {"epoch": 1.0, "loss": 0.80551, "active_negatives": 0.41}
    table(folder.training_log / "history.csv", [
        {"epoch": 0.0, "loss": "", "active_negatives": "", **first, **rest}, {**trained, **metrics, **rest},
    ])  # fmt: skip
    photo(folder.training_log / "training_curves.png")


def write_evaluation(folder: DemoFolder) -> None:
    figures = {name: {"value": 0.9358, "low": 0.9005, "high": 0.9625} for name in SHOWN}
    clones = {"value": 0.84375, "low": 0.652, "high": 1.0}
    write_json(folder.report / "metrics.json", {
        "side": "test identities", "photos": {"identities": 21}, "pairs": {"same": 588, "different": 13440},
        "warnings": ["Only 21 identities are evaluated: the true intervals are wider than these."],
        "comparison": [
            {"name": "demo", "threshold": 1.0165, "figures": figures},
            {"name": "efficientnet-lite0 pretrained, 192 px", "threshold": 0.9589, "figures": figures},
        ],
        "cloned_plates": {"clones": 224, "figures": {"clones_judged_different": clones}},
    })  # fmt: skip
    (folder.report / "report.html").write_text("<title>report</title>")


def write_answers(folder: DemoFolder) -> None:
    first, other, clone = (f"data/vehicles/{name}/000.jpg" for name in TRAINED)
    answers = [
        (first, "same vehicle", "same", 0.856431, 0.964682), (other, "other vehicle", "same", 0.9912, 0.6),
        (clone, "cloned plate", "near the threshold", 1.041368, 0.552083),
    ]  # fmt: skip
    columns = ("img2", "question", "answer", "distance", "confidence")
    table(folder.answers, [{"img1": first, **dict(zip(columns, row, strict=True))} for row in answers])


def write_rendered(data: Path) -> None:
    plates = [name.removesuffix("~clone") for name in TRAINED]
    rows = [
        {"path": f"{name}/000.jpg", "vehicle": name, "plate": plate}
        for name, plate in zip(TRAINED, plates, strict=True)
    ]
    table(data / "ground_truth.csv", rows)
    for name in TRAINED:
        photo(data / "vehicles" / name / "000.jpg")


def write_dirt(folder: DemoFolder) -> None:
    planted = [{"path": f"京A/{defect}.jpg", "defect": defect, "detail": "", "source": ""} for defect in METHODS]
    good = {"path": "京A/good.jpg", "defect": "", "detail": "", "source": ""}
    table(folder.dirty / "ground_truth.csv", [*planted, good])


def write_scan(run: Path) -> None:
    (run / "scan").mkdir(parents=True)
    errors = pyarrow.table({"error": ["", "", "empty: the file is empty"]})
    pyarrow.parquet.write_table(errors, run / "scan" / "files.parquet")


def write_findings(run: Path, methods: list[str]) -> None:
    write_json(run / "notes.json", {"photos": 298, "unreadable": 8, "to remove": 116})
    rows = [
        {"path": "京A/blurred.jpg", "method": name, "related": "", "flagged": True, "keep": False} for name in methods
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), run / "findings.parquet")


def write_fusion(folder: DemoFolder) -> None:
    row = {"first": f"{TRAINED[0]}/000.jpg", "second": f"{TRAINED[1]}/000.jpg", "similarity": 0.9, "method": ODD_NAME}
    kept = {**row, "path": "classes/a.png", "rejected": ""}
    rejected = {**row, "path": "rejected/b.png", "rejected": "far_from_first"}
    other = {**rejected, "rejected": "far_from_second"}
    methods = [{**kept, "method": f"method_{k}"} for k in range(3)]
    table(folder.fused / "manifest.csv", [other, kept, rejected, *methods], "utf-8-sig")
    photo(folder.fused / "classes" / "a.png")
    thresholds = [{"threshold": 0.7, "pairs": 860, "photos": 424, "chosen": True}]
    table(folder.fused / "thresholds.csv", [*thresholds, {**thresholds[0], "chosen": False}], "utf-8-sig")


def write_results_of(step: str, folder: DemoFolder) -> None:
    """The files of one step, and of no later one."""
    writers: dict[str, Callable[[], None]] = {
        "render": lambda: write_rendered(folder.data),
        "train": lambda: write_training(folder),
        "evaluate": lambda: write_evaluation(folder),
        "predict": lambda: write_answers(folder),
        "render_more": lambda: write_rendered(folder.more),
        "spoil": lambda: write_dirt(folder),
        "clean": lambda: write_findings(folder.clean, [name for names in METHODS.values() for name in names]),
        "scan": lambda: write_scan(folder.clean_outliers),
        "outliers": lambda: write_findings(folder.clean_outliers, ["dbscan"]),
        "fuse": lambda: write_fusion(folder),
    }
    writers.get(step, lambda: None)()  # "pairs" and "score" write nothing that is shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> DemoFolder:
    """After the last step."""
    folder = DemoFolder(tmp_path_factory.mktemp("demo") / "demo_output")
    folder.logs.mkdir(parents=True)
    for step, log in zip(steps(), folder.step_logs(steps()), strict=True):
        write_results_of(step.name, folder)
        log.write_text(f"$ python\n\x1b[33mcareful\x1b[0m {HOSTILE}\n", encoding="utf-8")
    return folder


def steps() -> list[Step]:
    return demo_steps(Path("demo_output"))


@pytest.fixture(scope="module")
def page(folder: DemoFolder) -> str:
    write_index(folder, steps())
    return folder.index.read_text(encoding="utf-8")


# -- the terminal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("width", [80, 120])
def test_the_output_fits_two_screens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, is_terminal: bool
) -> None:
    folder = DemoFolder(tmp_path)

    def run(step: Step, *_: Any) -> Outcome:
        write_results_of(step.name, folder)
        return Outcome(0, "", 1.0)

    monkeypatch.setattr(program, "run_step", run)
    console = Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None, highlight=False)
    program.run_demo(steps(), folder, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    lines = text.splitlines()
    assert len(lines) <= 78  # two more say where the results are
    assert max(map(cell_len, lines)) <= width
    for figure in (
        "0.9512",
        "0.9436",
        "0.1267",
        "0.8651",
        "0.4097",
        "1.0108",
        "0.9358 (0.900-0.963)",
        "0.8438",
        "0.8564",
        "96.5%",
    ):
        assert figure in text, figure
    for words in (
        "116 of 298 photos",
        "3 photos, 1 of them",
        "near the threshold",
        "cloned plate",
        "860 pairs of 424 photos",
        *METHODS,
    ):
        assert words in text, words
    assert "    3 photos, 1 of them unreadable" in lines
    assert "…" not in text


def test_an_answer_is_right_wrong_or_left_to_a_person(folder: DemoFolder) -> None:
    assert [answer.is_right for answer in results.answers(folder)] == [True, False, None]


def test_photos_of_each_side_are_counted(folder: DemoFolder) -> None:
    assert results.training(folder).sides == [("train", 1, 1), ("val", 1, 1), ("test", 1, 1)]
    assert results.rendered(folder.data) == results.Rendered(photos=3, vehicles=3, plates=2)


def test_what_became_of_fused_photos_is_counted(folder: DemoFolder) -> None:
    fused = results.fused(folder)
    assert fused.fates == ["kept", "far_from_first", "far_from_second"]
    assert fused.methods[ODD_NAME] == {"kept": 1, "far_from_first": 1, "far_from_second": 1}
    assert fused.methods["method_0"]["far_from_first"] == 0


# -- the page -----------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_every_link_of_the_page_leads_to_a_file(folder: DemoFolder, page: str) -> None:
    links = [unquote(str(attributes["href"])) for tag, attributes in Elements(page).found if tag == "a"]
    there = {name for name, *_ in REPORTS if (folder.root / name).is_file()}
    assert {"report/report.html", "logs/demo/training_curves.png"} < there <= set(links)
    assert [link for link in links if not (folder.root / link).is_file()] == []


def test_no_request_leaves_the_page_and_a_name_cannot_break_out(page: str) -> None:
    found = Elements(page).found
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    (policy,) = (attributes["content"] for tag, attributes in found if attributes.get("http-equiv"))
    assert policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    assert {tag for tag, _ in found} & {"script", "link", "iframe"} == set()
    assert all(
        str(attributes["src"]).startswith("data:image/jpeg;base64,") for tag, attributes in found if tag == "img"
    )
    assert not any(name.startswith("on") or name == "style" for _, attributes in found for name in attributes)
    assert "&lt;script&gt;window.injected=1" in page
    assert "&lt;b&gt;" in page
    assert "\x1b" not in page


def test_the_page_shows_the_answers_with_their_photos_and_the_figures(page: str) -> None:
    found = Elements(page).found
    cards = [attributes["class"] for tag, attributes in found if tag == "article"]
    assert cards == ["answer same", "answer same", "answer near"]
    assert sum(tag == "img" for tag, _ in found) >= 6 + 1 + 3  # answers, a plot, a fused photo with its sources
    for figure in (
        "0.8564",
        "96.5%",
        "1.0108",
        "0.9358 (0.900-0.963)",
        "0.8438 (0.652-1.000)",
        "0.8055",
        "41%",
        "98.6",
    ):
        assert figure in page, figure
    assert page.count("✓ right") == page.count("✗ wrong") == 1
    for step in steps():
        assert step.arguments[1] in page


def test_every_english_text_has_a_chinese_one(page: str) -> None:
    assert page.count('<span lang="en">') == page.count('<span lang="zh">') > 30
    texts = re.findall(r'<span lang="zh">(.*?)</span>', page)
    assert [text for text in texts if not re.search(r"[\u4e00-\u9fff/，]", text)] == []


@pytest.mark.slow
def test_the_page_in_a_browser(folder: DemoFolder, page: str, tmp_path: Path) -> None:
    assert page == index_page(folder, steps())
    with chromium(tmp_path / "profile") as browser:
        browser.get(folder.index.as_uri())
        shown = "return [...document.querySelectorAll('h2')].map(h => h.innerText)"
        assert browser.execute_script(shown)[1] == "Reports"
        assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
        browser.execute_script("document.querySelector('label[for=chinese]').click()")
        assert browser.execute_script(shown)[1] == "报告"
        browser.set_window_size(500, 900)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        assert browser.execute_script("return window.injected === undefined")
        assert browser.get_log("browser") == []
