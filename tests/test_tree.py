"""Rules that hold for every file: who may import whom, how long a file may be, and what must be required."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(path for path in ROOT.glob("*.py"))
PACKAGES = ("siamclip", "demo", "benchmarks", "tests")
SOURCES = SCRIPTS + sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LIBRARY = sorted((ROOT / "siamclip").rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION = 400, 80
REQUIREMENTS = sorted(ROOT.glob("requirements*.txt"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Absolute names of modules, wherever in the file they are imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)


def test_there_is_something_to_check() -> None:
    assert {"config.py", "dataset.py", "train.py", "evaluate.py", "predict.py"} <= {named(path) for path in SCRIPTS}
    assert len(SOURCES) > 50


def test_the_package_imports_no_script() -> None:
    scripts = {script.stem for script in SCRIPTS} | {"tests", "benchmarks"}
    found = {named(path): {name.partition(".")[0] for name in imported(tree_of(path))} & scripts for path in LIBRARY}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_files_and_functions_are_short() -> None:
    long_files = {named(path): n for path in SOURCES if (n := len(path.read_text("utf-8").splitlines())) > LONGEST_FILE}
    assert long_files == {}
    long_functions = {
        f"{named(path)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert long_functions == {}


def test_modules_are_named_for_what_they_hold() -> None:
    assert {path.stem for path in SOURCES} & {"utils", "util", "common", "helpers", "misc"} == set()


def test_nothing_that_is_pickled_lives_in_a_script() -> None:
    """What another process unpickles must be importable there: a script's own classes are `__main__`'s."""
    runs = [path for path in SOURCES if path.stem == "__main__" or '__name__ == "__main__"' in path.read_text("utf-8")]
    assert runs
    for path in runs:
        tree = tree_of(path)
        modules = {name.partition(".")[0] for name in imported(tree)}
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert modules & {"pickle", "multiprocessing"} == set(), named(path)
        assert "ProcessPoolExecutor" not in names, named(path)


def test_no_file_is_unpickled_into_more_than_tensors() -> None:
    forbidden = {"pickle.load", "pickle.loads", "pickle.dump", "joblib.load", "torch.save", "yaml.load"}
    needs = {"torch.load": ("weights_only", "True"), "np.load": ("allow_pickle", "False")}
    calls = 0
    for path in SCRIPTS + LIBRARY:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                call, where = ast.unparse(node.func), f"{named(path)}:{node.lineno}"
                assert call not in forbidden, where
                if call in needs:
                    calls += 1
                    assert needs[call] in {(word.arg, ast.unparse(word.value)) for word in node.keywords}, where
    assert calls


# -- requirements ---------------------------------------------------------------------------------------------------


def requirements_of(path: Path) -> list[Requirement]:
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        content = line.partition("#")[0].strip()
        if content.startswith("-r "):
            assert (ROOT / content[3:]).is_file()
        elif content:
            found.append(Requirement(content))
    return found


@pytest.mark.parametrize("path", REQUIREMENTS, ids=named)
def test_requirements_can_be_read_and_name_no_package_twice(path: Path) -> None:
    names = [(requirement.name.lower(), str(requirement.marker)) for requirement in requirements_of(path)]
    assert names and len(set(names)) == len(names)


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.14"])
def test_what_the_main_job_needs_is_pinned_on_every_python(version: str) -> None:
    for requirement in requirements_of(ROOT / "requirements.txt"):
        assert re.search(r"==|<", str(requirement.specifier)), requirement
    names = {requirement.name for requirement in requirements_of(ROOT / "requirements.txt")}
    environment = {"python_version": version}
    chosen = [
        requirement.name
        for requirement in requirements_of(ROOT / "requirements.txt")
        if requirement.marker is None or requirement.marker.evaluate(environment)
    ]
    assert sorted(chosen) == sorted(names)  # each once: neither left out nor pinned twice


def test_every_import_is_of_a_package_that_is_required() -> None:
    distributions = importlib.metadata.packages_distributions()
    own = {path.stem for path in SCRIPTS} | {*PACKAGES, "packaging"}  # which pytest brings along
    required = {
        re.sub(r"[-_.]+", "-", requirement.name).lower()
        for path in REQUIREMENTS
        for requirement in requirements_of(path)
    }
    for path in SOURCES:
        for name in {module.partition(".")[0] for module in imported(tree_of(path))}:
            if name in sys.stdlib_module_names or name in own:
                continue
            # a package that is not installed here is an optional one, by its own name
            candidates = {re.sub(r"[-_.]+", "-", d).lower() for d in distributions.get(name, [name])}
            assert candidates & required, f"{named(path)} imports {name}"


# -- licences -------------------------------------------------------------------------------------------------------


def test_the_licence_of_shipped_data_is_stated() -> None:
    """Fonts, weights and the like: whatever in the package is not text."""
    licences = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    files = [path for path in (ROOT / "siamclip").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    data = [path for path in files if b"\0" in path.read_bytes()]
    assert data
    for path in data:
        assert any(f"`{named(folder)}/`" in licences for folder in path.parents[:3]), named(path)
    for folder in re.findall(r"`(siamclip/[\w/-]+/)`", licences):
        assert (ROOT / folder).is_dir(), folder
