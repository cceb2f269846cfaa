"""The report's file: what it holds, that no name breaks out of it, and thumbnails within their budget."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from siamclip.cleaning.report import report
from siamclip.cleaning.report.page import folder_url, script_json
from siamclip.cleaning.report.report import render_report, write_report
from siamclip.data.image.thumbnails import SIDE, thumbnails
from siamclip.errors import UserError
from tests.cleaning.report_samples import HOSTILE, NOT_UTF8, REASON, Tables, every_kind

HERE = Path(report.__file__).parent


class Scripts(HTMLParser):
    """The content of each script, and every attribute that names another file."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.addresses: list[str | None] = []
        self.tags: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    def data(self) -> dict[str, Any]:
        (text,) = (text for attributes, text in self.scripts if attributes.get("id") == "data")
        found: dict[str, Any] = json.loads(text)
        return found

    def images(self) -> list[bytes]:
        blocks = [json.loads(text) for attributes, text in self.scripts if attributes.get("class") == "images"]
        return [base64.b64decode(image) for image in itertools.chain(*blocks)]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return every_kind(tmp_path / "photos")


def test_the_page_is_complete_and_names_no_other_file(tables: Tables, tmp_path: Path) -> None:
    page = Scripts(render_report(tables.data(), tmp_path / "report.html"))
    assert page.addresses == []
    assert not {"link", "iframe", "img", "object"} & set(page.tags)
    assert sum("type" not in attributes for attributes, _ in page.scripts) == 1
    data = page.data()
    assert set(data["photos"]["path"]) == {row["path"] for row in tables.findings}
    assert NOT_UTF8 in data["photos"]["path"]
    assert HOSTILE in data["photos"]["path"]
    assert REASON in data["findings"]["reasons"]
    assert data["notes"]["laplacian"]["questioned"] == "a third of the photos would go"


def test_each_photo_has_one_thumbnail_and_a_broken_one_its_reason(tables: Tables, tmp_path: Path) -> None:
    page = Scripts(render_report(tables.data(), tmp_path / "report.html"))
    data, images = page.data(), page.images()
    paths = data["photos"]["path"]
    assert len(set(paths)) == len(paths) < len(tables.findings)
    places = dict(zip(paths, data["photos"]["image"], strict=True))
    (broken,) = data["errors"]
    assert paths[int(broken)] == "京A/broken.jpg"
    assert places.pop("京A/broken.jpg") == -1
    assert sorted(places.values()) == list(range(len(images)))
    for image in images:
        with Image.open(io.BytesIO(image)) as thumbnail:
            assert thumbnail.format == "JPEG"
            assert max(thumbnail.size) == SIDE
    # and it is that photo's: its mean colour is the file's
    with Image.open(tables.root / HOSTILE) as photo, Image.open(io.BytesIO(images[places[HOSTILE]])) as thumbnail:
        colours = [np.asarray(image.convert("RGB"), float).mean((0, 1)) for image in (photo, thumbnail)]
    assert np.abs(colours[0] - colours[1]).max() < 2


def test_files_of_the_same_bytes_share_a_thumbnail(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.photo("a.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    for path in ("a.jpg", "b.jpg", "c.jpg"):
        tables.find(path, "knn")
    page = Scripts(render_report(tables.data(), tmp_path / "report.html"))
    assert page.data()["photos"]["image"] == [0, 0, 1]
    assert len(page.images()) == 2


def test_thumbnails_stop_at_the_budget_and_the_rest_is_shown_from_files(tables: Tables, tmp_path: Path) -> None:
    whole = Scripts(render_report(tables.data(), tmp_path / "report.html"))
    sizes = [len(image) for image in whole.images()]
    budget = sum(sizes[:3])
    written = write_report(tables.data(), tmp_path / "report.html", budget=budget)
    part = Scripts((tmp_path / "report.html").read_text("utf-8"))
    assert part.images() == whole.images()[:3]
    assert written.embedded == 3
    assert part.data()["photos"]["image"].count(-1) == written.photos - 3
    assert part.data()["base"] == "photos/"


def test_thumbnails_do_not_depend_on_threads_and_progress_reaches_the_end(tables: Tables) -> None:
    files = [tables.root / row["path"] for row in tables.findings] * 20
    seen: list[tuple[int, int]] = []
    alone, many = (thumbnails(files, 40_000, threads=n, progress=lambda *at: seen.append(at)) for n in (1, 5))
    assert alone == many
    assert 0 < alone.embedded < len(files)
    assert sum(len(image) for image in alone.images if image) <= 40_000
    seen.clear()
    everything = thumbnails(files, progress=lambda *at: seen.append(at))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(files), len(files))
    assert [bool(image) for image in everything.images] == [not error for error in everything.errors]


def test_pairs_are_those_inside_a_group_as_a_naive_loop_finds_them(tables: Tables, tmp_path: Path) -> None:
    tables.pair("phash", "京A/0.jpg", "B/d.jpg", 9.0)  # no group holds both
    tables.pair("phash", "clone/0.jpg", "clone/1.jpg", 9.0)  # one vehicle, not one photo
    tables.pair("phash", "京A/0.jpg", "not/on the page.jpg", 9.0)
    data = Scripts(render_report(tables.data(), tmp_path / "report.html")).data()
    duplicates = {"phash", "semantic"}
    group: dict[str, set[tuple[bool, int]]] = {}
    for row in tables.findings:
        if row["group"] >= 0 and row["method"] != "cloned_plate":
            group.setdefault(row["path"], set()).add((row["method"] in duplicates, row["group"]))
    expected = {
        (row["method"], row["first"], row["second"])
        for row in tables.pairs
        if group.get(row["first"], set()) & group.get(row["second"], set())
    }
    pairs, paths = data["pairs"], data["photos"]["path"]
    assert expected == {
        (pairs["methods"][m], paths[a], paths[b])
        for m, a, b in zip(pairs["method"], pairs["first"], pairs["second"], strict=True)
    }
    assert len(expected) == 6


def test_of_too_many_pairs_those_of_the_keeper_stay(
    tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.pairs.insert(0, tables.pairs.pop(4))  # the pair between two members comes first
    monkeypatch.setattr(report, "MOST_PAIRS", 5)
    data = Scripts(render_report(tables.data(), tmp_path / "report.html")).data()
    assert data["pairsOmitted"] == 1
    assert 2.0 not in data["pairs"]["distance"]


def test_arrow_tables_with_names_as_bytes_give_the_same_page(tables: Tables, tmp_path: Path) -> None:
    data = tables.data()
    names = {"path", "related", "first", "second"}
    as_bytes = {
        table: pa.table(
            {
                name: [v.encode("utf-8", "surrogateescape") for v in column] if name in names else column
                for name, column in getattr(data, table).items()
            }
        )
        for table in ("findings", "pairs")
    }
    assert render_report(tables.data(**as_bytes), tmp_path / "report.html") == render_report(
        data, tmp_path / "report.html"
    )


def test_nothing_found_is_a_page_too(tmp_path: Path) -> None:
    page = Scripts(render_report(Tables(tmp_path).data(class_counts=[], notes={}), tmp_path / "report.html"))
    assert page.data()["photos"]["path"] == []


@settings(max_examples=50)
@given(st.recursive(st.text(st.characters()), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_text_ends_a_script_and_all_of_it_comes_back(value: Any) -> None:
    text = script_json(value)
    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == value


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


def test_the_folder_is_named_relative_to_the_page(tmp_path: Path) -> None:
    assert folder_url(tmp_path / "a b#c", tmp_path / "run" / "report.html") == "../a%20b%23c/"
    assert folder_url(tmp_path, tmp_path / "report.html") == "./"


def test_a_page_that_cannot_be_written_is_one_clear_line(tables: Tables, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"report\.html: the page cannot be written"):
        write_report(tables.data(), tmp_path / "absent" / "report.html")


@pytest.mark.parametrize("folder", [HERE / "scripts", HERE.parent / "calibrate"], ids=["report", "calibrate"])
def test_both_languages_have_the_same_texts_and_each_is_used(folder: Path) -> None:
    source = (folder / "texts.js").read_text("utf-8")
    english, chinese = (
        dict(re.findall(r'(\w+): "((?:[^"\\]|\\.)*)"', part))
        for part in re.split(r"^  zh: \{", source.partition("\n};")[0], flags=re.MULTILINE)
    )
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
    scripts = [path for path in folder.glob("*.js") if path.name not in ("texts.js", "page.js")]
    code = "".join(path.read_text("utf-8") for path in scripts)
    unused = [key for key in english if not key.startswith("family_") and f'"{key}"' not in code]
    assert unused == []
    assert set(re.findall(r'\bt\("(\w+)"', code)) <= english.keys()
