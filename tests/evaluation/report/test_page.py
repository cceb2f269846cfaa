"""The page: complete, self-contained, and safe whatever a file is called."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamclip.errors import ImageError
from siamclip.evaluation.report.labels import METRIC_LABELS, threshold_origin
from siamclip.evaluation.report.page import PhotoPair, evaluation_page, photo_data_uri

HOSTILE = "<script>alert('京A12345')</script>&\n\x1b[31m🚗\udcff"
METRIC = {"value": 0.9, "low": 0.8, "high": 0.95}
UNDEFINED = {"value": None, "low": None, "high": None}


class Page(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def sources(self) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.tags for name in ("src", "href") if name in attributes]


def results(name: str = "run", **changes: Any) -> dict[str, Any]:
    return {
        "run": name,
        "created": "2024-05-06T07:08:09+00:00",
        "checkpoint": f"checkpoints/{name}/best",
        "model": "efficientnet-lite0, 160 px",
        "data_dir": name,
        "side": "test identities",
        "warnings": [f"a warning about {name}"],
        "photos": {
            "evaluated": 1234,
            "identities": 58,
            "left_out": {"not an image": 1},
            "files_left_out": [{"path": name, "reason": "not an image"}],
        },
        "pairs": {"same": 58, "different": 6612, "different_existing": 6612, "positive_ratio": 0.5},
        "decision": {"threshold": 0.87, "rule": "f1", "target_far": None, "chosen_on": "validation"},
        "figures": dict.fromkeys(METRIC_LABELS, METRIC),
        "validation": {"auc": METRIC},
        "all_pairs": {"different": 99999, "auc": 0.91},
        "comparison": [
            {"name": name, "threshold": 0.87, "figures": dict.fromkeys(METRIC_LABELS, METRIC)},
            {"name": "resnet50", "threshold": None, "figures": {"auc": METRIC, "eer": UNDEFINED}},
        ],
        "cloned_plates": {
            "source": name,
            "pairs": 5,
            "clones": 3,
            "same": 2,
            "plates": 1,
            "figures": {"clones_judged_different": METRIC, "same_judged_same": UNDEFINED},
            "outside": 1,
            "missing": [name],
            "one_folder": 1,
        },
        "settings": {"bootstrap_replicates": 1000},
        **changes,
    }


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[..., Page]:
    photo, plot = tmp_path / "photo.jpg", tmp_path / "plot.png"
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(photo)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(plot)

    def page(name: str = "run", errors: int = 1, **changes: Any) -> Page:
        pairs = [PhotoPair((photo, photo), (name, f"{name}/2"), 0.25, 0.97)] * errors
        text = evaluation_page(results(name, **changes), {"roc": plot}, plot, pairs, pairs, f"data_dir: {name}")
        text.encode("utf-8", "backslashreplace").decode("utf-8")
        return Page(text)

    return page


def test_hostile_names_stay_text(page_of: Callable[..., Page]) -> None:
    page = page_of(HOSTILE)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "<script>alert('京A12345')</script>&" in page.text
    assert "🚗" in page.text
    assert "\x1b" not in page.text
    assert "\udcff" not in page.text


def test_nothing_is_loaded_from_elsewhere(page_of: Callable[..., Page]) -> None:
    page = page_of()
    assert not [tag for tag, _ in page.tags if tag in ("link", "script", "iframe", "object")]
    sources = page.sources()
    assert len(sources) == 1 + 1 + 2 * 2  # a plot, that of the cloned plates, two photos of two errors
    for source in sources:
        media, content = source.split(";base64,")
        assert media in ("data:image/png", "data:image/jpeg")
        Image.open(io.BytesIO(base64.b64decode(content))).verify()


def test_figures_and_their_absence_are_shown(page_of: Callable[..., Page]) -> None:
    text = page_of().text
    for expected in ("0.9000", "0.800 – 0.950", "n/a", "0.9100", "1,234", "6,612", "1,000 bootstrap", "a warning"):
        assert expected in text, expected


def test_parts_that_do_not_apply_are_left_out(page_of: Callable[..., Page]) -> None:
    photos = {"evaluated": 8, "identities": 2, "left_out": {}, "files_left_out": []}
    plain = page_of(errors=0, validation=None, all_pairs=None, cloned_plates=None, warnings=[], photos=photos)
    for absent in ("Cloned plates", "Left out", "every pair there is", "a warning"):
        assert absent not in plain.text, absent
    assert "No two different identities were judged" in plain.text


def test_thumbnails_are_small_and_upright(tmp_path: Path) -> None:
    file = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.zeros((600, 900, 3), np.uint8)).save(file, exif=exif)
    content = photo_data_uri(file, side=100).split(";base64,")[1]
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (67, 100)


def test_a_photo_that_has_gone_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        photo_data_uri(tmp_path / "gone.jpg")


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({"rule": "far", "target_far": 0.01, "chosen_on": "validation"}, "at most 0.01"),
        ({"rule": "eer", "target_far": None, "chosen_on": "validation"}, "equal error rates"),
        ({"rule": "f1", "target_far": None, "chosen_on": "checkpoint"}, "the checkpoint stores"),
    ],
)
def test_where_the_threshold_comes_from_is_said(decision: dict[str, Any], said: str) -> None:
    assert said in threshold_origin(decision)
