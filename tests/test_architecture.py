"""docs/architecture.md is true to the tree: every path in it exists, every room is named, and its example runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from siamclip.cleaning import method_table
from siamclip.methods import MethodTable, effective
from tests.cleaning.photo_tables import photos_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
EXAMPLE, ROW = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
MODULE = "siamclip.cleaning.quality.compression"


def named_paths() -> set[str]:
    texts = re.findall(r"`((?:siamclip|demo|tests|docs|benchmarks)/[^`\s]*)`", PAGE)
    return {
        *texts,
        *re.findall(r"(?<![\w/.])\w+\.py\b", re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]),
    }


def test_every_path_that_the_page_names_exists() -> None:
    assert len(named_paths()) > 50
    assert [name for name in named_paths() if not (ROOT / name).exists()] == []


def test_every_script_and_every_room_is_named() -> None:
    rooms = {path.parent for top in ("siamclip", "demo") for path in (ROOT / top).rglob("*.py")}
    expected = {f"{room.relative_to(ROOT).as_posix()}/" for room in rooms} - {"siamclip/", "demo/"}
    expected |= {path.name for path in ROOT.glob("*.py")}
    expected |= {f"siamclip/{path.name}" for path in (ROOT / "siamclip").glob("*.py") if path.stem != "__init__"}
    assert expected - named_paths() == set()


def test_the_page_lists_the_floors_in_their_order() -> None:
    rows = re.findall(r"^\| \d? ?\| `siamclip/(\w+)/`", PAGE, flags=re.MULTILINE)
    assert list(dict.fromkeys(rows)) == [
        "training", "augmentation", "cleaning", "evaluation", "diffusion", "embedding", "models", "data", "prediction",
        "metrics", "cli", "files", "plotting", "demo",
    ]  # fmt: skip


def test_the_example_is_a_method_of_fifteen_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 15
    module = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    exec(compile(EXAMPLE, MODULE, "exec"), module.__dict__)
    row = eval(ROW, {**vars(method_table)})
    methods = MethodTable([row])
    assert row.family in method_table.FAMILIES and set(row.needs) <= set(method_table.SCORERS)

    photos = photos_of("a.jpg", "b.jpg", "c.jpg", "d.jpg", bytes=[1000, 200, 5000, 3000])
    settings = effective([row], methods.parse(["compression.threshold=0.05"]))["compression"]
    found = row.load()(photos, **settings)
    assert found.method == "compression"
    assert [photos.paths[row] for row in found.rows[found.flagged]] == ["b.jpg"]
