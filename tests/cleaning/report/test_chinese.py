"""Reasons and notes in Chinese: every sentence that a method can make has a template, and the page uses it."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import siamclip.cleaning
from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.cleaning.find.decide import decide_removals
from siamclip.cleaning.find.leaks import find_leaks
from siamclip.cleaning.find.run_methods import check_doubtful_pairs, run_methods
from siamclip.cleaning.method_table import METHODS
from siamclip.cleaning.report.chinese import CHINESE
from siamclip.cleaning.report.command import report_data
from siamclip.cleaning.report.report import write_report
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.photo_table import open_photos
from siamclip.methods import effective
from tests.cleaning.report_samples import chromium

ROOM = Path(siamclip.cleaning.__file__).parent
OLD = Path(__file__).parents[2] / "compatibility" / "old"
FIELD = re.compile(r"\{(\w+)\}")
CHARACTER = re.compile(r"[\u4e00-\u9fff]")
VERBATIM = re.compile(r"(\{\w+\} ?)+")  # templates of what stays as it is
SAME = {"eps", "min_samples", "efSearch"}  # names of settings

# Strings of the methods' modules that no reader of a report sees.
OTHER_STRINGS = {
    "min_width x min_height",  # settings
    "(no folder)",  # the scripts know it
    # notes of the decision, which the page does not show
    "semantic pairs inside one identity left alone (other views)",
    "semantic pairs across identities not confirmed by the geometry",
    "pairs rejected by the geometry",
    "pairs left out as remembered not duplicates",
    "groups of copies",
    "copies beside their keepers",
    "photos under two labels",
    "kept because of min_per_class",
    "kept because their folder is protected",
    "findings about photos of the archive left out",
}
ERRORS_ALONE = ("annotations.py", "iqa.py")  # their sentences are errors, put together before they are raised


def pattern(kind: str) -> str:
    """Of all texts of a kind, but for those that stay as they are."""
    return "|".join(template(english) for english in CHINESE[kind] if not VERBATIM.fullmatch(english) or kinds(english))


def kinds(english: str) -> list[str]:
    return [name for name in FIELD.findall(english) if name in CHINESE]


def template(english: str) -> str:
    parts = FIELD.split(english)
    for i in range(1, len(parts), 2):
        name = parts[i]
        inside = "|".join(map(template, CHINESE[name])) if name in CHINESE else (r"\S+" if len(name) == 1 else ".+")
        parts[i] = f"(?:{inside})"
    return "".join(part if i % 2 else re.escape(part) for i, part in enumerate(parts))


# -- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CHINESE)
def test_templates_have_the_same_fields_in_both_languages(kind: str) -> None:
    for english, chinese in CHINESE[kind].items():
        assert sorted(FIELD.findall(english)) == sorted(FIELD.findall(chinese)), english
        assert not CHARACTER.search(english)
        if english == chinese:
            assert VERBATIM.fullmatch(english) or english in SAME
        else:
            assert CHARACTER.search(chinese) or not re.search("[a-z]", FIELD.sub("", english)), english


def test_every_kind_is_used() -> None:
    nested = {name for templates in CHINESE.values() for english in templates for name in kinds(english)}
    scripts = "".join(file.read_text("utf-8") for file in (ROOM / "report" / "scripts").glob("*.js"))
    asked = set(re.findall(r'said\("(\w+)"', scripts))
    assert asked <= CHINESE.keys()
    assert nested | asked == CHINESE.keys()


def test_what_every_method_sees_is_there() -> None:
    assert {method.does for method in METHODS.values()} == CHINESE["sees"].keys()


# -- the source -------------------------------------------------------------------------------------------------------


def strings(tree: ast.AST) -> Iterator[str]:
    """The constant parts of strings that may reach a reader: not docstrings, errors, annotations, columns."""
    if isinstance(tree, ast.Raise | ast.Subscript | ast.AnnAssign | ast.arg | ast.Import | ast.ImportFrom):
        if isinstance(tree, ast.AnnAssign) and tree.value is not None:
            yield from strings(tree.value)
        return
    if isinstance(tree, ast.Call) and getattr(tree.func, "id", "") in ("UserError", "require", "TypeVar"):
        return
    if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Constant):
        return
    if isinstance(tree, ast.FormattedValue):
        yield from strings(tree.value)
        return
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str):
        yield tree.value
    for child in ast.iter_child_nodes(tree):
        yield from strings(child)


def sources() -> list[Path]:
    rooms = [file for room in ("quality", "duplicates", "consistency") for file in (ROOM / room).rglob("*.py")]
    rooms = [file for file in rooms if file.name not in ERRORS_ALONE]
    return [*rooms, *(ROOM / "find" / f"{name}.py" for name in ("run_methods", "decide", "leaks"))]


@pytest.mark.parametrize("source", sources(), ids=lambda file: str(file.relative_to(ROOM)))
def test_every_sentence_in_the_source_has_a_template(source: Path) -> None:
    """A string with two words is one that people read, or stands in OTHER_STRINGS."""
    known = "\n".join(FIELD.sub("\0", english) for templates in CHINESE.values() for english in templates)
    found = {text for text in strings(ast.parse(source.read_text("utf-8"))) if re.search(r"[a-z] | [a-z]", text)}
    unknown = [text for text in found if any(part not in known for part in re.split(r"\d+", text))]
    assert sorted(set(unknown) - OTHER_STRINGS) == []


def test_every_fault_and_every_note_in_the_source_has_a_template() -> None:
    faults, notes = set(), set()
    for source in [*sources(), ROOM / "quality" / "no_reference" / "iqa.py"]:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Limit":
                faults.add(ast.literal_eval(node.args[2]))
            places: list[ast.AST] = []
            if isinstance(node, ast.keyword) and node.arg == "notes":
                places = [node.value]
            elif isinstance(node, ast.AnnAssign | ast.AugAssign) and ast.unparse(node.target).endswith("notes"):
                places = [node.value] if node.value else []
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Subscript) and ast.unparse(target.value).endswith("notes"):
                        notes.add(ast.literal_eval(target.slice))
                    elif ast.unparse(target).endswith("notes"):
                        places = [node.value]
            elif isinstance(node, ast.FunctionDef) and node.name.endswith("notes"):
                places = [node]
            inside = [child for place in places for child in ast.walk(place) if isinstance(child, ast.Dict)]
            notes |= {key.value for one in inside for key in one.keys if isinstance(key, ast.Constant)}
    assert faults == CHINESE["fault"].keys()
    assert len(notes) > 40
    assert notes - OTHER_STRINGS - {"questioned"} <= CHINESE["note"].keys()


# -- what the methods say ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoTable:
    """A scan of rendered vehicles with a copy, a blurred and a torn photo, whose columns get some odd values."""
    run = tmp_path_factory.mktemp("run")
    shutil.copytree(OLD / "found", run, dirs_exist_ok=True)
    (run / "siamclip-run.json").write_text(json.dumps({"format": 1, "root": str(OLD / "photos")}))
    table = open_photos(RunFolder(run), layout="classes", archive=None)
    columns = {name: values.copy() for name, values in table.columns.items()}
    for row, (name, value) in enumerate(
        [("format", "PNG"), ("frames", 5), ("has_alpha", True), ("mode", "L"), ("mode", "I;16"), ("mode", "CMYK")]
        + [("orientation", flag) for flag in range(2, 9)]
    ):
        columns[name][row] = value
    columns["bits"][4], columns["has_profile"][4:6] = 16, True
    return replace(table, columns=columns, paths=[*table.paths[:-1], "no_suffix"])


@pytest.fixture(scope="module")
def said_of(photos: PhotoTable) -> dict[str, set[tuple[str, str]]]:
    """Name of settings -> what find says with them."""
    return {name: set(messages(photos, settings)) for name, settings in SETTINGS.items()}


QUALITY = [method for method in METHODS.values() if "max_share" in method.settings()]
STRICT: dict[str, dict[str, Any]] = {
    "laplacian": {"threshold": 1e9}, "fft_ratio": {"threshold": 100.0}, "spectrum_entropy": {"threshold": 1.0},
    "sobel": {"threshold": 1e9}, "canny": {"threshold": 1.0}, "roberts": {"threshold": 1.0},
    "prewitt": {"threshold": 1.0}, "under_exposed": {"threshold": 0.0}, "over_exposed": {"threshold": 0.0},
    "intensity": {"minimum": 120.0, "maximum": 121.0}, "low_contrast": {"threshold": 127.0},
    "low_entropy": {"threshold": 8.0}, "aspect_ratio": {"minimum": 1.1, "maximum": 1.2},
}  # fmt: skip
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "defaults": {},
    "strict": STRICT,
    "strict, all the same": {name: values | {"max_share": 1.0} for name, values in STRICT.items()},
    "the worst": {method.name: {"percentile": 20.0} for method in QUALITY},
    "near": {
        "knn": {"neighbours": 1, "threshold": 0.01}, "dbscan": {"eps": 1e-6}, "label_errors": {"margin": 0.0},
        "cloned_plate": {"same_distance": 0.01, "min_photos": 3, "min_group": 1},
        "kmeans": {"clusters": 12, "small": 0.9}, "semantic": {"search": "clusters", "threshold": 0.8},
    },
    "inverted lists": {
        "semantic": {"search": "ivf", "threshold": 0.9}, "kmeans": {"spread": 0.01}, "dbscan": {"eps": 0.1},
    },
    "graph": {"semantic": {"search": "hnsw"}, "cloned_plate": {"min_photos": 99}, "knn": {"neighbours": 99}},
}  # fmt: skip


def messages(photos: PhotoTable, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(kind, text) of all that a find says."""
    methods = list(METHODS.values())
    values = effective(methods, settings)
    found = run_methods(photos, methods, values)
    pairs, verdicts = check_doubtful_pairs(photos, found.pairs, values, 0.5, 12)
    folder = photos.paths[0].split("/")[0]
    decision = decide_removals(
        photos,
        found.findings,
        pairs,
        found.rank,
        same_identity=0.5,
        verdicts=verdicts,
        min_per_class=3,
        protected=[folder],
    )
    findings = list(decision.findings)
    if (photos.labels != NO_LABEL).any():
        sides = np.arange(len(photos)) % 3
        findings += find_leaks(replace(photos, sides=sides.astype(np.int8)), decision.copies)[0]
    for part in findings:
        yield from (("reason", reason) for reason in part.reason)
    for notes in [*(part.notes for part in pairs), *(part.notes for part in findings)]:
        for key, value in notes.items():
            if key == "questioned":
                yield "questioned", str(value)
                continue
            yield "note", key
            if isinstance(value, str):
                yield "value", value
    for name, lack in found.left_out.items():
        yield "warning", f"{name}: not run, {lack.told('--{}'.format)}"
    yield from (("error", error) for error in photos.errors if error)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_methods_say_of_photos_has_a_template(said_of: dict[str, set[tuple[str, str]]], name: str) -> None:
    said = said_of[name]
    assert len([kind for kind, _ in said if kind == "reason"]) > 20
    words = {("value", word) for word in ("ivf", "hnsw", "kmeans", "hdbscan")}
    assert [one for one in sorted(said - words) if not re.fullmatch(pattern(one[0]), one[1], re.S)] == []


def test_what_methods_say_of_photos_without_labels_or_embeddings_has_a_template(photos: PhotoTable) -> None:
    flat = replace(photos, labels=np.full(len(photos), NO_LABEL), identities=[])
    one = replace(photos, labels=np.zeros(len(photos), np.int64), identities=["a"])
    bare = replace(flat, embeddings=None, columns={})
    few = replace(
        photos, embeddings=np.where(np.arange(len(photos))[:, None] < 2, photos.vectors(), np.float32(np.nan))
    )
    said = {message for table in (flat, one, bare, few) for message in messages(table, {})}
    assert [one for one in sorted(said) if not re.fullmatch(pattern(one[0]), one[1], re.S)] == []
    assert sum(kind == "warning" for kind, _ in said) > 10


# -- the page ---------------------------------------------------------------------------------------------------------

# The texts of the page as they stand; the settings are YAML, for programs.
SHOWN = """
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), shown = [];
while (texts.nextNode()) {
  if (!texts.currentNode.parentElement.closest("script, style, pre")) shown.push(texts.currentNode.data);
}
return shown;
"""
TWO_WORDS = re.compile(r"(?<![\w./=-])[a-z]{2,}[,:;]? [a-z]{2,}(?![\w./=-])")


@pytest.mark.slow
def test_no_english_is_left_on_the_page_in_chinese(said_of: dict[str, set[tuple[str, str]]], tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    shutil.copytree(OLD / "found", run.path)
    run.marker.write_text(json.dumps({"format": 1, "root": str(OLD / "photos")}))
    everything = sorted(set().union(*said_of.values()))
    found = report_data(run)
    notes = {name: dict(values) for name, values in found.notes.items()}
    notes["laplacian"]["questioned"] = next(text for kind, text in everything if kind == "questioned")
    warnings = [text for kind, text in everything if kind == "warning"]
    write_report(replace(found, notes=notes, warnings=warnings), tmp_path / "report.html")
    with chromium(tmp_path / "profile") as browser:
        browser.get((tmp_path / "report.html").as_uri())
        browser.execute_script("if (language !== 'zh') document.getElementById('language').click()")
        for view in ["overview", *browser.execute_script("return [...views.keys()]")]:
            browser.execute_script("state.filter = { ...NO_FILTER }; go(arguments[0]); fromHash()", view)
            text = "\n".join(browser.execute_script(SHOWN))
            assert CHARACTER.search(text), view
            assert TWO_WORDS.findall(text) == [], view
        said = browser.execute_script(
            "return JSON.parse(arguments[0]).map(([kind, text]) => said(kind, text))", json.dumps(everything)
        )
        assert browser.get_log("browser") == []
    assert len(said) > 300
    assert [text for text in said if TWO_WORDS.search(text)] == []
    chinese = dict(zip(everything, said, strict=True))
    assert chinese["value", "exact"] == "精确"
    copy = next(text for kind, text in everything if text.startswith("copy of ") and "matching points" in text)
    path, distance, method, points = re.fullmatch(
        r"copy of (.+): embedding distance (\S+) \((.+)\), (\d+) matching points", copy
    ).groups()  # type: ignore[union-attr]
    assert chinese["reason", copy] == f"{path} 的副本：特征距离 {distance}（{method}），{points} 个匹配点"
