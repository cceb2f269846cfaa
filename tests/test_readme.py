"""Both READMEs are true to the code: options with their defaults, commands, files."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")


def load_option_table():
    spec = importlib.util.spec_from_file_location("option_table", ROOT / "docs" / "option_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_english_option_tables_are_what_config_py_says() -> None:
    assert load_option_table().rewritten(text("README.md")) == text("README.md"), "run python docs/option_table.py"


def test_the_chinese_option_tables_have_the_same_options_and_defaults() -> None:
    rows = {name: re.findall(r"^\| (`--\w+`) \| (`[^`]*`) \|", text(name), flags=re.MULTILINE) for name in READMES}
    assert len(rows["README.md"]) > 80
    assert rows["README.zh-CN.md"] == rows["README.md"]


def test_every_chinese_option_is_explained_in_chinese() -> None:
    meanings = re.findall(r"^\| `--\w+` \| `[^`]*` \| (.*) \|$", text("README.zh-CN.md"), flags=re.MULTILINE)
    assert all(re.search(r"[\u4e00-\u9fff]", meaning) for meaning in meanings)


@pytest.mark.parametrize("name", READMES)
def test_every_flag_of_a_command_exists(name: str) -> None:
    tables = load_option_table()
    known = {script: set(config_type.__dataclass_fields__) for script, config_type in tables.SCRIPTS.items()}
    found = 0
    for line in text(name).splitlines():
        for script, fields in known.items():
            if re.search(rf"python {script}\b", line):
                flags = re.findall(r"--(\w+)", line.split(script, 1)[1].split("#", 1)[0])
                assert set(flags) <= fields | {"config"}, line
                found += len(flags)
    assert found > 20


@pytest.mark.parametrize("name", READMES)
def test_every_picture_and_link_to_a_file_exists(name: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text(name))
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_both_readmes_show_the_same_tree_commands_and_sections() -> None:
    for pattern in (r"^(\w+\.py) +", r"(\w+\.py) {2,}", r"^(##) ", r"make ([a-z]+)"):
        english, chinese = (re.findall(pattern, text(name), flags=re.MULTILINE) for name in READMES)
        assert english == chinese


def test_the_method_list_of_the_cleaning_page_is_what_the_catalogue_says() -> None:
    spec = importlib.util.spec_from_file_location("method_table", ROOT / "docs" / "method_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.rewritten(text("docs/cleaning.md")) == text("docs/cleaning.md"), "run python docs/method_table.py"
    assert "| `phash` |" in text("docs/cleaning.md")
