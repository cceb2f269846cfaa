"""The documents are true to the code: links, commands with their flags, generated tables; and to each other."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from config import load
from demo.run.steps import Step, demo_steps

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TRANSLATED = [page for page in PAGES if page.endswith(".zh-CN.md")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
PYTHON = re.compile(r"(?:.*/)?(?:python3?|py)")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, content) of every fenced block."""
    return FENCE.findall(text(page))


def prose(page: str) -> str:
    return FENCE.sub("", text(page))


def english_of(page: str) -> str:
    return page.replace(".zh-CN.md", ".md")


def docs_script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_that_a_user_needs_are_there_in_both_languages() -> None:
    assert {english_of(page) for page in TRANSLATED} < set(PAGES)
    tasks = ("installation", "training", "evaluation", "prediction", "cleaning", "augmentation", "settings")
    assert {f"docs/{task}.zh-CN.md" for task in tasks} | {"README.zh-CN.md"} == set(TRANSLATED)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_a_readme_is_one_page(page: str) -> None:
    assert len(text(page).splitlines()) <= 150
    assert len(text(page)) < 12_000  # a page is no few endless lines either
    assert len(re.findall(r"!\[", text(page))) == 1


# -- links --------------------------------------------------------------------------------------------------------


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings: lower case, hyphens for spaces, other punctuation left out."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    assert links, "a page that leads nowhere"
    for link in links:
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), link


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("README")])
def test_every_page_can_be_reached_from_the_readme(page: str) -> None:
    readme = "README.zh-CN.md" if page in TRANSLATED else "README.md"
    reached, todo = {readme}, [readme]
    while todo:
        current = todo.pop()
        for link in re.findall(r"\]\(([^)\s#]+\.md)", prose(current)):
            target = ((ROOT / current).parent / link).resolve()
            if target.is_relative_to(ROOT) and (name := target.relative_to(ROOT).as_posix()) not in reached:
                reached.add(name)
                todo.append(name)
    assert page in reached


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_project_that_a_page_names_exists(page: str) -> None:
    named = re.findall(r"(?<![\w/.-])((?:siamclip|demo|benchmarks|docs|tests)/[\w./-]*\w/?|\w+\.py)\b", text(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


# -- commands -----------------------------------------------------------------------------------------------------


def commands(page: str) -> Iterator[list[str]]:
    """The words of every command that runs Python or make, in fenced blocks and in `code`."""
    lines = [line for _, block in blocks(page) for line in re.sub(r" \\\n\s*", " ", block).splitlines()]
    lines += SPAN.findall(prose(page))
    for line in lines:
        if re.match(r"(?:\S*[\\/])?(?:python3?|py|make|accelerate) \S", line) and "=" not in line.split()[0]:
            yield shlex.split(line.replace("\\", "/"), comments=True)


def test_commands_are_found() -> None:
    assert sum(len(list(commands(page))) for page in PAGES) > 60


def parser_of(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ArgumentParser:
    """The parser that a module's main makes."""

    class Made(Exception):
        """Carries the parser out of main, before anything is run."""

    def caught(parser: ArgumentParser, *_: Any) -> None:
        raise Made(parser)

    with monkeypatch.context() as patch, pytest.raises(Made) as found:
        patch.setattr(ArgumentParser, "parse_args", caught)
        module.main()
    parser: ArgumentParser = found.value.args[0]
    parser.allow_abbrev = False  # a name that is cut short is no flag to print
    return parser


def check_script(script: str, rest: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The flags and their values are those that the script takes."""
    folder, stem = Path(script).parent.as_posix(), Path(script).stem
    if folder in ("docs", "benchmarks"):
        module = docs_script(stem) if folder == "docs" else importlib.import_module(f"benchmarks.{stem}")
        if rest or hasattr(module, "main"):
            parser_of(module, monkeypatch).parse_args(rest)
        return
    known = docs_script("option_table").SCRIPTS
    name = script
    if script not in known:
        assert rest, f"{script}: no command"
        if rest == ["methods"]:
            return
        name, rest = f"{script} {rest[0]}", rest[1:]
        place = [rest.pop(0)] if rest and not rest[0].startswith("-") else []
        takes_data = "data" in known[name].__dataclass_fields__
        assert takes_data or not place or script == "clean.py", f"{name} takes no {place}"
        assert place or takes_data or script != "clean.py" or rest == ["--help"], f"{name}: the run is missing"
    if "--config" in rest:  # a file of the reader's
        at = rest.index("--config")
        del rest[at : at + 2]
    if rest == ["--help"]:
        return
    load(known[name], rest)


def check_module(module: str, rest: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    if module == "pip":
        assert rest[0] == "install"
        required = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.txt")).lower()
        for word, value in zip(rest[1:], [*rest[2:], ""], strict=True):
            if word == "-r":
                assert (ROOT / value).is_file(), value
            elif not word.startswith("-") and not word.endswith(".txt"):
                assert re.search(rf"^{re.escape(word.lower())}(?![\w-])", required, re.MULTILINE), word
        return
    if module == "pytest":
        assert all((ROOT / word).exists() for word in rest if word.startswith("tests"))
        return
    if module == "venv":
        return
    spec = importlib.util.find_spec(module)
    assert spec, module
    package = spec.submodule_search_locations is not None
    parser_of(importlib.import_module(f"{module}.__main__" if package else module), monkeypatch).parse_args(rest)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_run_as_it_stands(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = set(re.findall(r"^([\w-]+):", text("Makefile"), flags=re.MULTILINE))
    for program, *rest in commands(page):
        where = f"{page}: {program} {shlex.join(rest)}"
        try:
            if program == "make":
                assert set(rest) <= targets
            elif program == "accelerate":
                assert rest[0] == "launch"
                check_script(rest[1], rest[2:], monkeypatch)
            elif rest[0] == "-m":
                check_module(rest[1], rest[2:], monkeypatch)
            else:
                check_script(rest[0], rest[1:], monkeypatch)
        except SystemExit:
            pytest.fail(f"{where}: is not parsed")
        except (AssertionError, KeyError) as error:
            raise AssertionError(where) from error


@pytest.mark.parametrize("step", demo_steps(ROOT / "demo_output_that_is_new"), ids=lambda step: step.name)
def test_every_command_of_the_demo_can_be_run_as_it_stands(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    if step.arguments[0] == "-m":
        check_module(step.arguments[1], list(step.arguments[2:]), monkeypatch)
    else:
        check_script(step.arguments[0], list(step.arguments[1:]), monkeypatch)


@pytest.mark.parametrize("page", PAGES)
def test_every_flag_that_a_page_mentions_exists(page: str) -> None:
    settings = {name: set(kind.__dataclass_fields__) for name, kind in docs_script("option_table").SCRIPTS.items()}
    known = set().union(*settings.values())
    sources = [*(ROOT / "benchmarks").glob("*.py"), *ROOT.glob("**/demo/*.py")]
    known |= {
        flag for file in sources for flag in re.findall(r'add_argument\("--(\w+)"', file.read_text(encoding="utf-8"))
    }
    for span in SPAN.findall(prose(page)):
        takes = settings.get(span.removeprefix("python ").split()[0], known)  # those of one script, where it is named
        for flag in re.findall(r"(?<!\S)--([\w-]+)", span):
            assert flag.removeprefix("no_") in takes | {"config", "help"}, span


@pytest.mark.parametrize("page", ["docs/installation.md", "docs/installation.zh-CN.md"])
def test_the_demo_without_make_is_the_one_of_the_makefile(page: str) -> None:
    recipe = text("Makefile").split("\ndemo:")[1].split("\n\n")[0].splitlines()[1:]
    assert recipe == ["\t@$(BIN)/python -m demo.run --out $(DEMO)"]
    assert "\nDEMO := demo_output\n" in text("Makefile")  # which is the default of --out
    assert [block for _, block in blocks(page) if "demo" in block] == [".venv\\Scripts\\python -m demo.run\n"]


# -- generated tables ---------------------------------------------------------------------------------------------


def test_the_option_tables_are_what_the_config_files_say() -> None:
    tables = docs_script("option_table")
    for path, is_translated in tables.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert tables.rewritten(page, is_translated) == page, "run python docs/option_table.py"
        assert set(re.findall(r"<!-- options: (.+?) -->", page)) >= set(tables.SCRIPTS) - {"clean.py run"}


def test_every_chinese_option_is_explained_in_chinese() -> None:
    meanings = re.findall(r"^\| `--\w+` \| `[^`]*` \| (.*) \|$", text("docs/settings.zh-CN.md"), flags=re.MULTILINE)
    assert len(meanings) > 80
    assert [meaning for meaning in meanings if not re.search(r"[\u4e00-\u9fff]", meaning)] == []


def test_the_method_lists_are_what_the_catalogue_says() -> None:
    tables = docs_script("method_table")
    for path, is_translated in tables.PAGES.items():
        page = path.read_text(encoding="utf-8")
        assert tables.rewritten(page, is_translated) == page, "run python docs/method_table.py"
        assert "| `phash` |" in page or "| `samplepairing` | mix |" in page


@pytest.mark.parametrize("page", ["docs/cleaning.zh-CN.md", "docs/augmentation.zh-CN.md"])
def test_every_chinese_method_is_explained_in_chinese(page: str) -> None:
    table = text(page).split("<!-- methods:")[1].split("<!-- end -->")[0]
    meanings = [line.split(" | ")[2] for line in table.splitlines() if line.startswith("| `")]
    assert len(meanings) >= 10
    assert [meaning for meaning in meanings if not re.search(r"[\u4e00-\u9fff]", meaning)] == []


# -- two languages ------------------------------------------------------------------------------------------------


def skeleton(page: str) -> dict[str, Any]:
    """What both languages share: levels of headings, code without comments, the numbers of each row of a table."""
    code = [(language, re.sub(r"(?:^|\s+)# ?.*$", "", block, flags=re.MULTILINE)) for language, block in blocks(page)]
    rows = re.findall(r"^\|.*\|$", prose(page), flags=re.MULTILINE)
    return {
        "headings": re.findall(r"^#+(?= )", prose(page), flags=re.MULTILINE),
        "code": [(language, [line for line in block.splitlines() if line.strip()]) for language, block in code],
        "numbers": [sorted(re.findall(r"\d[\d,.]*\d|\d", row)) for row in rows],
        "pictures": [Path(picture).name for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", prose(page))],
        "flags": sorted(set(re.findall(r"`(--\w+)", prose(page)))),
    }


@pytest.mark.parametrize("page", TRANSLATED)
def test_both_languages_say_the_same(page: str) -> None:
    english, chinese = skeleton(english_of(page)), skeleton(page)
    for part, content in english.items():
        assert chinese[part] == content, part


@pytest.mark.parametrize("page", TRANSLATED)
def test_the_languages_link_to_each_other(page: str) -> None:
    assert f"]({Path(page).name})" in text(english_of(page))
    assert f"]({Path(english_of(page)).name})" in text(page)
