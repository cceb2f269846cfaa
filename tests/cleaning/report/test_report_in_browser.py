"""The report in a headless Chromium, opened from disk: what people see, decide, export and import again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siamclip.cleaning.apply.user_decisions import read_decisions
from siamclip.cleaning.calibrate.calibrate import Proposal, Question, read_answers
from siamclip.cleaning.calibrate.page import write_calibration_page
from siamclip.cleaning.report.report import write_report
from siamclip.data.image.decode import content_hash
from tests.cleaning.report_samples import HOSTILE, NOT_UTF8, Tables, chromium, every_kind

pytestmark = pytest.mark.slow

ROWS = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def tables(folder: Path) -> Tables:
    return every_kind(folder / "photos")


@pytest.fixture(scope="module")
def browser(folder: Path) -> Iterator[Any]:
    (folder / "downloads").mkdir()
    with chromium(folder / "profile", folder / "downloads") as driver:
        yield driver


@pytest.fixture
def page(browser: Any, folder: Path, tables: Tables) -> Iterator[Any]:
    """The report of `every_kind`, with no decisions; afterwards nothing may stand on the console."""
    path = folder / "report.html"
    if not path.exists():
        write_report(tables.data(), path)
    browser.get(path.as_uri())
    browser.execute_script("forgetAll(); store(); location.hash = ''; language = 'en'; build(); show()")
    browser.get_log("browser")
    yield browser
    assert browser.get_log("browser") == []


def go(browser: Any, view: str) -> None:
    browser.execute_script("state.filter = { ...NO_FILTER }; go(arguments[0])", view)
    name = json.dumps(view)
    wait(
        browser,
        f"return (decodeURIComponent(location.hash.slice(1)) || 'overview') === {name} && state.view === {name}",
    )


def wait(browser: Any, condition: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(condition))


def card(browser: Any, path: str) -> Any:
    # as JSON in ASCII: the driver takes no lone surrogates
    script = (
        "const path = JSON.parse(arguments[0]);"
        "return [...document.querySelectorAll('main .card')].find(c => photos.path[c.dataset.photo] === path)"
    )
    return browser.execute_script(script, json.dumps(path))


def click(browser: Any, path: str, button: str) -> None:
    browser.execute_script("arguments[0].querySelector(arguments[1]).click()", card(browser, path), button)


def exported(browser: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(browser.execute_script("return JSON.stringify(exported())"))
    return found


def download(browser: Any, folder: Path) -> Path:
    from selenium.webdriver.support.ui import WebDriverWait

    path = folder / "downloads" / "decisions.json"
    path.unlink(missing_ok=True)
    browser.find_element("id", "export").click()
    WebDriverWait(browser, 20).until(lambda _: path.exists() and path.stat().st_size > 0)
    return path


def test_it_opens_from_disk_and_asks_for_nothing(page: Any) -> None:
    figures = page.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('.figure')].map(f => "
        "[f.dataset.figure, f.querySelector('b').textContent]))"
    )
    assert figures == {
        "cardPhotos": "20", "cardUnreadable": "1", "cardRemove": "6", "cardGroups": "1", "cardConflicts": "1",
        "cardClones": "1",
    }  # fmt: skip
    text = page.find_element("tag name", "main").text
    assert "a third of the photos would go" in text
    asked = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in asked if not name.startswith(("data:", "file:"))] == []


def test_every_view_shows_its_photos(page: Any) -> None:
    for view in page.execute_script("return [...views.keys()]"):
        go(page, view)
        shown = page.execute_script("return [...document.querySelectorAll('main .card')].map(c => +c.dataset.photo)")
        expected = page.execute_script(
            "return [...new Set(views.get(arguments[0]).items.flatMap(i => i.photos))]", view
        )
        assert set(shown) == set(expected), view
        wait(page, "return [...document.querySelectorAll('main img')].every(i => i.complete && i.naturalWidth > 0)")
    go(page, "unreadable")
    assert "cannot be read" in card(page, "京A/broken.jpg").text
    assert page.execute_script("return document.querySelectorAll('main img').length") == 0


def test_a_group_shows_its_keeper_and_the_evidence_of_every_method(page: Any) -> None:
    go(page, "duplicates")
    assert "keeper" in card(page, "京A/0.jpg").text
    near = card(page, "京A/1.jpg").text
    for expected in ("pHash: distance 3", "57 matching points", "distance 0.12"):
        assert expected in near
    assert "keeper" not in near
    page.execute_script("document.querySelector('details.pairs').open = true")
    wait(page, "return document.querySelectorAll('details.pairs tr').length === 3")


def test_clones_stand_side_by_side_and_a_label_errors_beside_the_better_one(page: Any) -> None:
    go(page, "cloned_plate")
    sides = page.execute_script(
        "return [...document.querySelectorAll('.side')].map(s => [...s.querySelectorAll('.card')]"
        ".map(c => photos.path[c.dataset.photo]))"
    )
    assert sides == [["clone/0.jpg", "clone/1.jpg"], ["clone/2.jpg", "clone/3.jpg"]]
    go(page, "label_errors")
    pair = page.execute_script(
        "return [...document.querySelectorAll('.versus .card')].map(c => photos.path[c.dataset.photo])"
    )
    assert pair == ["B/d.jpg", "京A/0.jpg"]


def test_the_class_is_the_second_folder_where_the_first_is_a_side(browser: Any, folder: Path, tables: Tables) -> None:
    sides = Tables(tables.root)
    for number in range(4):
        sides.find(f"train/{number // 2}/{number}.jpg", "laplacian")
        sides.find(f"train/京B/{number}.jpg", "cloned_plate", keep=True, group=20 + number // 2)
    path = folder / "sides.html"
    write_report(sides.data(run="sides", layout="sides", class_counts=[("0", 2, 0), ("1", 2, 0), ("京B", 4, 4)]), path)
    browser.get(path.as_uri())
    go(browser, "laplacian")
    browser.execute_script("state.filter.folder = '1'; listPage(true)")
    assert browser.execute_script("return document.querySelectorAll('main .card').length") == 2
    go(browser, "cloned_plate")
    assert "京B" in browser.find_element("css selector", ".clone h3").text


def test_what_is_decided_is_what_is_exported(page: Any, folder: Path, tables: Tables) -> None:
    assert exported(page) == {"format": 1, "run": "run-1", "photos": [], "not_duplicates": []}
    go(page, "*")
    click(page, "plain/blurred.jpg", ".keep")
    click(page, NOT_UTF8, ".remove")  # as proposed: decided all the same
    go(page, "duplicates")
    click(page, "京A/1.jpg", ".refute")
    decisions = read_decisions(download(page, folder))
    content = {path: content_hash(tables.root / path) for path in ("京A/0.jpg", "京A/1.jpg")}
    assert decisions.run == "run-1"
    assert {(d.path, d.keep) for d in decisions.photos} == {
        ("plain/blurred.jpg", True), (NOT_UTF8, False), ("京A/1.jpg", True),
    }  # fmt: skip
    assert {d.content for d in decisions.photos if d.path == "京A/1.jpg"} == {content["京A/1.jpg"]}
    assert decisions.not_duplicates == (tuple(sorted(content.values())),)


def test_a_refuted_copy_stays_unless_something_else_is_wrong_with_it(page: Any) -> None:
    go(page, "duplicates")
    page.execute_script("document.querySelector('.group > header .refute').click()")
    assert len(exported(page)["not_duplicates"]) == 3
    kept = {row["path"]: row["keep"] for row in exported(page)["photos"]}
    assert kept == {"京A/1.jpg": True}  # 京A/2.jpg is blurred as well, and goes
    page.execute_script("document.querySelector('.group > header .refute').click()")
    assert exported(page)["not_duplicates"] == []
    assert exported(page)["photos"] == []


def test_a_group_of_which_nothing_stays_is_marked(page: Any) -> None:
    go(page, "duplicates")
    warning = "return document.querySelector('.none-kept').hidden"
    assert page.execute_script(warning)
    click(page, "京A/0.jpg", ".remove")
    wait(page, "return !document.querySelector('.none-kept').hidden")
    click(page, "京A/0.jpg", ".undo")
    wait(page, warning)


def test_decisions_survive_a_reload_and_can_be_imported_again(page: Any, folder: Path) -> None:
    go(page, "duplicates")
    click(page, "京A/1.jpg", ".refute")
    click(page, "京A/2.jpg", ".keep")
    before = exported(page)
    path = download(page, folder)
    page.refresh()
    assert exported(page) == before
    page.execute_script("forgetAll()")
    assert exported(page)["photos"] == []
    elsewhere = {"path": "elsewhere.jpg", "content": "0" * 32, "keep": False}
    changed = {"path": "京A/0.jpg", "content": "f" * 32, "keep": False}
    content = json.loads(path.read_bytes())
    path.write_text(json.dumps(content | {"photos": [*content["photos"], elsewhere, changed]}))
    page.find_element("id", "import-file").send_keys(str(path))
    wait(page, "return !notice.hidden")
    assert "1 are of photos whose content has changed" in page.execute_script("return notice.textContent")
    expected = before | {"photos": [*before["photos"], elsewhere]}
    assert exported(page) == expected
    (folder / "other.json").write_text('{"format": 2}')
    page.find_element("id", "import-file").send_keys(str(folder / "other.json"))
    wait(page, "return notice.textContent.includes('not a decisions file')")
    assert exported(page) == expected


def test_the_figures_and_the_class_table_follow_the_decisions(page: Any) -> None:
    go(page, "duplicates")
    click(page, "京A/1.jpg", ".keep")
    go(page, "overview")
    row = "return [...document.querySelectorAll('.classes tbody tr')].map(r => r.innerText.split(/\\s+/).slice(0, 4))"
    assert page.execute_script(row) == [["京A", "6", "3", "4"]]
    removed = page.find_element("css selector", "[data-figure=cardRemove]").text
    assert removed.split("\n") == ["5", "to remove", "proposed: 6"]


def test_names_do_not_inject(page: Any) -> None:
    for view in ("overview", "*", "knn"):
        go(page, view)
        assert page.execute_script("return window.injected") is None
    text = page.execute_script("return arguments[0].textContent", card(page, HOSTILE))
    assert "<img src=x onerror='window.injected=1'>" in text
    assert '\\n"&%23#?.jpg' in text
    page.execute_script("document.querySelector('main .card .frame').click()")
    wait(page, "return dialog.open && dialog.querySelector('img').naturalWidth === 240")  # the file itself
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.injected = 2'; document.body.append(s)"
    )
    assert page.execute_script("return window.injected") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))


def test_the_keyboard_alone_is_enough(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    go(page, "laplacian")
    page.execute_script("document.querySelector('main .card').focus()")
    press("k", Keys.ARROW_RIGHT, "r", Keys.ARROW_RIGHT, "k", "u")
    kept = {row["path"]: row["keep"] for row in exported(page)["photos"]}
    assert kept == {"京A/2.jpg": True, "plain/blurred.jpg": False}
    press(Keys.ENTER)
    wait(page, "return dialog.open")
    press("k", Keys.ESCAPE)
    wait(page, "return !dialog.open")
    assert {row["path"] for row in exported(page)["photos"]} == {"京A/2.jpg", "plain/blurred.jpg", NOT_UTF8}
    press("/")
    assert page.execute_script("return document.activeElement.id") == "filter-search"
    press("k")  # is text there
    assert len(exported(page)["photos"]) == 3


def test_chinese_at_a_click(page: Any) -> None:
    go(page, "duplicates")
    page.find_element("id", "language").click()
    assert "重复照片" in page.find_element("tag name", "main").text
    assert page.execute_script("return document.documentElement.lang") == "zh"
    page.find_element("id", "language").click()
    assert "Duplicates" in page.find_element("tag name", "main").text


def test_photos_beyond_the_budget_are_shown_from_their_files(browser: Any, folder: Path, tables: Tables) -> None:
    (folder / "other").mkdir()
    write_report(tables.data(run="run-2"), folder / "other" / "report.html", budget=0)
    browser.get((folder / "other" / "report.html").as_uri())
    assert "13 more photos are shown from their own files" in browser.find_element("tag name", "main").text
    go(browser, "*")
    browser.execute_script("document.querySelectorAll('main img').forEach(i => { i.loading = 'eager' })")
    images = "[...document.querySelectorAll('main img')]"
    wait(browser, f"return {images}.length > 6 && {images}.every(i => i.naturalWidth === 240)")
    assert browser.get_log("browser") == []


def test_20000_findings_stay_usable(browser: Any, folder: Path) -> None:
    tables = Tables(folder / "large")
    template = tables.photo("template.jpg")
    for number in range(ROWS):
        content = f"{number % 20:032x}" if number % 2 else f"{number:032x}"
        row = {"path": f"plate{number // 10:04}/{number % 10}.jpg", "content": content, "method": "laplacian",
               "score": float(ROWS - number), "reason": "blurred", "flagged": True, "group": -1, "keep": False,
               "related": ""}  # fmt: skip
        tables.findings.append(row)
    for path in {row["path"] for row in tables.findings[:20]}:
        file = tables.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((tables.root / template).read_bytes())
    path = folder / "large.html"
    write_report(tables.data(run="large"), path)
    browser.get(path.as_uri())
    go(browser, "laplacian")
    assert "page 1 of 334" in browser.find_element("css selector", ".top-pager").text
    number = "return document.querySelectorAll('main .card').length"
    assert browser.execute_script(number) == 60
    assert browser.execute_script("return document.getElementsByTagName('*').length") < 3000
    first = "return photos.path[document.querySelector('main .card').dataset.photo]"
    assert browser.execute_script(first) == "plate0000/0.jpg"
    browser.find_element("css selector", ".top-pager .next").click()
    assert browser.execute_script(first) == "plate0006/0.jpg"
    browser.execute_script("state.page = 332; turn(1); turn(1)")
    assert browser.execute_script(number) == ROWS - 333 * 60
    assert browser.execute_script("return document.querySelector('.next').disabled")
    browser.execute_script("state.filter.search = 'PLATE1234/'; listPage(true)")
    assert browser.execute_script(number) == 10
    browser.execute_script("state.filter = { ...NO_FILTER, sort: 'up' }; state.page = 0; listPage(true)")
    assert browser.execute_script(first) == "plate1999/9.jpg"

    # only undecided: what was decided leaves the list when the page is turned, and nothing is skipped
    browser.execute_script("state.filter = { ...NO_FILTER, show: 'undecided' }; state.page = 0; listPage(true)")
    browser.find_element("id", "accept").click()
    assert browser.execute_script(number) == 60
    browser.find_element("css selector", ".top-pager .next").click()
    assert browser.execute_script(first) == "plate0006/0.jpg"
    assert "19,940 entries" in browser.find_element("css selector", ".top-pager").text
    assert len(exported(browser)["photos"]) == 60


def test_pairs_of_a_calibration_are_answered_by_keys_and_exported(browser: Any, folder: Path, tables: Tables) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    paths = ["京A/0.jpg", "京A/1.jpg", NOT_UTF8, HOSTILE]
    contents = [content_hash(tables.root / path) for path in paths]
    pairs = [(0, 1), (0, 2), (1, 3), (2, 3)]
    questions = tuple(Question(paths[a], paths[b], contents[a], contents[b], 3.0, 0) for a, b in pairs)
    proposal = Proposal("phash", 0, 4, 5.0, 16.0, (16.0,), (4.0,), True, 4, 4, "", questions)
    page = folder / "calibration-phash.html"
    write_calibration_page(proposal, {questions[1].key: "different"}, tables.root, page, run="run")
    browser.get(page.as_uri())
    wait(browser, "return [...document.querySelectorAll('.asked img')].length === 2")
    ActionChains(browser).send_keys("s", "x").perform()  # the second pair is answered already, so the third
    assert "3 of 4 answered" in browser.find_element("css selector", ".top").text
    assert browser.execute_script("return at") == 3
    browser.refresh()
    assert browser.execute_script("return [answers.size, at]") == [3, 3]
    wait(browser, "return [...document.querySelectorAll('.asked img')].every(i => i.naturalWidth === 240)")
    assert browser.execute_script("return window.injected") is None
    browser.find_element("css selector", ".answer.different").click()
    assert "All pairs are answered" in browser.find_element("tag name", "main").text
    browser.find_element("id", "export").click()
    path = folder / "downloads" / "answers-phash.json"
    WebDriverWait(browser, 20).until(lambda _: path.exists() and path.stat().st_size > 0)
    expected = ("same", "different", "skip", "different")
    assert read_answers(path, proposal) == dict(zip([q.key for q in questions], expected, strict=True))
    browser.find_element("id", "language").click()
    assert "同一张" in browser.find_element("tag name", "main").text
    assert browser.get_log("browser") == []
