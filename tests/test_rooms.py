"""The rooms of the package: which may import which, how many files one holds, what its first lines say, its words."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "siamclip"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "demo")
DEMO_FILES = sorted((ROOT / "demo").rglob("*.py"))
# From the top floor down. A room imports rooms of its own floor or of lower ones, and none that leads back to it.
FLOORS = (
    ("training",),
    ("augmentation",),
    ("cleaning", "evaluation"),
    ("diffusion", "embedding"),
    ("models",),
    ("data", "prediction"),
    ("metrics", "cli", "files", "plotting", "device", "methods"),
    ("errors", "compiled", "learning_rate"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MOST_FILES, MOST_FILES_AT_THE_TOP = 8, 6


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in [*FILES, *DEMO_FILES]}


def room_of(module: str) -> str:
    """The package that holds the module; a module right below siamclip is a room by itself."""
    if MODULES[module].name == "__init__.py":
        return module
    parent = module.rpartition(".")[0]
    return module if parent == "siamclip" else parent


def imports(path: Path) -> Iterator[str]:
    """Modules of siamclip and demo that a file imports, wherever it does, for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows() -> dict[tuple[str, str], set[str]]:
    """(importing module, imported module), of different rooms -> the two as text."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        for name in imports(path):
            if name in MODULES and name != "siamclip" and room_of(module) != room_of(name):
                found[room_of(module), room_of(name)].add(f"{module} imports {name}")
    return found


ARROWS = arrows()


def test_every_room_has_its_floor() -> None:
    tops = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert tops - {"__init__", "__pycache__", "demo"} == set(FLOOR_OF)


def test_no_import_runs_upwards() -> None:
    upwards = []
    for (importing, used), texts in ARROWS.items():
        if importing.startswith("siamclip."):
            floors = [FLOOR_OF.get(room.split(".")[1], -1) if "." in room else -1 for room in (importing, used)]
            if used.startswith("demo") or floors[1] < floors[0]:
                upwards += sorted(texts)
    assert upwards == []


def test_no_room_leads_back_to_itself() -> None:
    next_rooms: dict[str, set[str]] = {room_of(module): set() for module in MODULES}
    for importing, used in ARROWS:
        next_rooms[importing].add(used)
    circles = []
    for start, direct in next_rooms.items():
        seen, todo = set(), list(direct)
        while todo:
            room = todo.pop()
            if room == start:
                circles.append(start)
                break
            if room not in seen:
                seen.add(room)
                todo += next_rooms[room]
    texts = sorted(t for (a, b), ts in ARROWS.items() if a in circles and b in circles for t in ts)
    assert circles == [], "\n".join(texts)


@pytest.mark.parametrize("top", [PACKAGE, ROOT / "demo"], ids=["siamclip", "demo"])
def test_a_room_can_be_taken_in_at_a_glance(top: Path) -> None:
    full = {}
    for folder in [top, *(path for path in top.rglob("*") if path.is_dir() and path.name != "__pycache__")]:
        files = [path.name for path in folder.iterdir() if path.is_file() and path.name != "__init__.py"]
        if len(files) > (MOST_FILES_AT_THE_TOP if folder == PACKAGE else MOST_FILES):
            full[folder.relative_to(ROOT).as_posix()] = sorted(files)
    assert full == {}


@pytest.mark.parametrize("path", [p for p in [*FILES, *DEMO_FILES] if p.name == "__init__.py"], ids=module_of)
def test_a_package_says_what_lives_in_it(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text and "TODO" not in text
    assert len(text.split()) > 8


def test_one_word_is_one_thing() -> None:
    """No two public classes or functions of the package have one name."""
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name].append(module_of(path))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}


FLAG = re.compile(r"(?<![\w-])--(?!help|no-deps)[a-z][a-z_]+")
# The command line's own rooms; a first line by which settings files of former versions are known; and texts of find in
# which the script has written flags already, with their translations.
MAY_NAME_FLAGS = ("cli", "errors.py", "augmentation/output/settings_file.py", "cleaning/report/chinese.py")


def test_the_package_knows_no_flag() -> None:
    """It names settings: which flag sets one is the scripts' affair."""
    found = [
        f"{module_of(path)}:{number}: {line.strip()}"
        for path in FILES
        if not any(path.is_relative_to(PACKAGE / place) for place in MAY_NAME_FLAGS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if FLAG.search(line)
    ]
    assert found == []


def test_a_user_error_says_which_setting_and_what_is_wrong() -> None:
    incomplete = []
    for path in [*FILES, *DEMO_FILES, *ROOT.glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "UserError" and len(node.args) < 2:
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                if not starred and "problem" not in {word.arg for word in node.keywords}:
                    incomplete.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert incomplete == []
