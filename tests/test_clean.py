"""clean.py as people run it: on a real tree of files, by its command line, and exactly what is left afterwards."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

import clean
from demo.dirty.defects import jpeg
from siamclip.cleaning.method_table import METHODS
from siamclip.errors import UserError
from tests.hostile import READABLE, UNREADABLE

ROOT = Path(__file__).resolve().parents[1]
NO_EMBEDDINGS = ("--embedder", "none", "--processes", "1")


def scene(seed: int, width: int = 720, height: int = 540) -> np.ndarray:
    """A picture with edges and grain, unlike that of any other seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(40, 210, (5, 7, 3)).astype(np.float32)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(25):
        corner = generator.integers((0, 0), (width, height))
        size = generator.integers(20, 200, 2)
        cv2.rectangle(image, corner.tolist(), (corner + size).tolist(), generator.uniform(0, 255, 3).tolist(), -1)
    return (image + generator.normal(0, 8, image.shape)).clip(0, 255).astype(np.uint8)


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder and what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def findings(run: Path) -> list[dict[str, str]]:
    with (run / "findings.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def removed(run: Path) -> set[str]:
    return {row["path"] for row in findings(run) if row["keep"] == "False"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three identities of six photos; exact copy, near copy, conflict, blur, dark, tiny and broken among them."""
    root = tmp_path / "photos"
    for label in range(3):
        (root / f"京A0000{label}").mkdir(parents=True)
        for k in range(6):
            (root / f"京A0000{label}" / f"{k}.jpg").write_bytes(jpeg(scene(10 * label + k), 92))
    first = root / "京A00000"
    shutil.copyfile(first / "0.jpg", first / "copy of 0.jpg")
    (first / "small 1.jpg").write_bytes(jpeg(cv2.resize(scene(1), None, fx=0.9, fy=0.9), 60))
    shutil.copyfile(first / "2.jpg", root / "京A00001" / "again.jpg")
    (first / "blurred.jpg").write_bytes(jpeg(cv2.GaussianBlur(scene(50), (0, 0), 9)))
    (first / "dark.jpg").write_bytes(jpeg((scene(51) * 0.03).astype(np.uint8)))
    (first / "tiny.jpg").write_bytes(jpeg(scene(52, 40, 30)))
    (first / "broken.jpg").write_bytes(jpeg(scene(53))[:3000])
    (first / "notes.txt").write_text("not a photo")
    return root


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN that was scanned and nothing else."""
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "photos").mkdir()
    (folder / "photos" / "1.jpg").write_bytes(jpeg(scene(1)))
    clean.main(["scan", str(folder / "photos"), "--out", str(folder / "run"), *NO_EMBEDDINGS])
    return folder / "run"


def run_all(photos: Path, run: Path, *more: str) -> int:
    return clean.main(["run", str(photos), "--out", str(run), *NO_EMBEDDINGS, *more])


def test_what_is_wrong_is_proposed_and_nothing_else(photos: Path, tmp_path: Path) -> None:
    before = contents(photos)
    assert run_all(photos, tmp_path / "run") == 0
    assert contents(photos) == before
    flagged: dict[str, set[str]] = {}
    for row in findings(tmp_path / "run"):
        if row["flagged"] == "True":
            flagged.setdefault(row["method"], set()).add(row["path"])
    first = "京A00000"
    assert flagged["exact"] == {f"{first}/copy of 0.jpg"}
    assert f"{first}/small 1.jpg" in flagged["phash"]
    assert flagged["label_conflict"] == {f"{first}/2.jpg", "京A00001/again.jpg"}
    assert flagged["unreadable"] == {f"{first}/broken.jpg"}
    assert f"{first}/blurred.jpg" in flagged["laplacian"]
    assert f"{first}/dark.jpg" in flagged["under_exposed"]
    assert flagged["too_small"] == {f"{first}/tiny.jpg"}
    assert removed(tmp_path / "run") == {
        f"{first}/{name}.jpg" for name in ("copy of 0", "small 1", "blurred", "dark", "tiny", "broken")
    }
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "copy of 0.jpg" in page


def test_apply_lists_then_moves_and_undo_brings_every_byte_back(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run_all(photos, run)
    before = contents(photos)
    capsys.readouterr()
    assert clean.main(["apply", str(run)]) == 0
    assert "nothing was moved; add --yes" in capsys.readouterr().out
    assert contents(photos) == before
    goes = removed(run)
    assert clean.main(["apply", str(run), "--yes"]) == 0
    assert contents(photos) == {path: digest for path, digest in before.items() if path not in goes}
    assert contents(run / "quarantine").items() >= {path: before[path] for path in goes}.items()
    assert clean.main(["undo", str(run)]) == 0
    assert contents(photos) == before


def test_a_copy_stays_where_its_keeper_is_gone(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_all(photos, run, "--methods", "exact")
    copy = next(row for row in findings(run) if row["method"] == "exact" and row["keep"] == "False")
    (photos / copy["related"]).unlink()
    before = contents(photos)
    with pytest.raises(UserError, match="kept for its copy"):
        clean.main(["apply", str(run), "--yes"])
    assert contents(photos) == before


def test_only_what_a_method_proposes_is_moved(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_all(photos, run)
    before = contents(photos)
    clean.main(["apply", str(run), "--yes", "--methods", "exact"])
    assert before.keys() - contents(photos).keys() == {"京A00000/copy of 0.jpg"}


def test_decisions_win_and_what_is_no_duplicate_is_remembered(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_all(photos, run)
    content = {row["path"]: row["content"] for row in findings(run)}
    near, keeper = "京A00000/small 1.jpg", "京A00000/1.jpg"
    entry = {"path": "京A00000/blurred.jpg", "content": content["京A00000/blurred.jpg"], "keep": True}
    decisions = {
        "format": 1, "run": "any", "photos": [entry], "not_duplicates": [sorted((content[near], content[keeper]))],
    }  # fmt: skip
    (tmp_path / "decisions.json").write_text(json.dumps(decisions))
    before = contents(photos)
    clean.main(["apply", str(run), "--decisions", str(tmp_path / "decisions.json")])
    clean.main(["find", str(run)])
    assert near not in {row["path"] for row in findings(run) if row["method"] == "phash"}
    clean.main(["apply", str(run), "--yes", "--decisions", str(tmp_path / "decisions.json")])
    gone = before.keys() - contents(photos).keys()
    assert "京A00000/blurred.jpg" not in gone
    assert near not in gone
    assert "京A00000/dark.jpg" in gone


@pytest.mark.parametrize("mode", ["hardlink", "copy"])
def test_an_export_holds_what_stays_and_leaves_the_original_alone(photos: Path, tmp_path: Path, mode: str) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    run_all(photos, run)
    before = contents(photos)
    assert clean.main(["apply", str(run), "--export", str(out), "--export_mode", mode]) == 0
    assert not out.exists()
    assert clean.main(["apply", str(run), "--export", str(out), "--export_mode", mode, "--yes"]) == 0
    assert contents(photos) == before
    gone = removed(run) | {"京A00000/notes.txt"}
    exported = {path: digest for path, digest in contents(out).items() if not Path(path).name.startswith(".")}
    assert exported == {path: digest for path, digest in before.items() if path not in gone}


def test_settings_come_from_yaml_and_flags_and_the_effective_ones_are_written(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_all(photos, run)
    settings = {"methods": ["laplacian", "exact"], "set": {"laplacian": {"threshold": 1e9, "max_share": 1.0}}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    assert clean.main(["find", str(run), "--config", str(tmp_path / "my.yaml"), "--min_per_class", "0"]) == 0
    assert {row["method"] for row in findings(run)} <= {"laplacian", "exact", "label_conflict"}
    assert sum(row["method"] == "laplacian" for row in findings(run)) == 24
    effective = yaml.safe_load((run / "settings.yaml").read_text("utf-8"))
    assert effective["set"]["laplacian"]["threshold"] == 1e9
    assert effective["min_per_class"] == 0
    first = findings(run)
    assert clean.main(["find", str(run), "--config", str(run / "settings.yaml")]) == 0
    assert findings(run) == first


def test_new_photos_are_compared_with_an_archive_that_is_not_compared_with_itself(photos: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    (new / "京A00001").mkdir(parents=True)
    shutil.copyfile(photos / "京A00001" / "3.jpg", new / "京A00001" / "arrived.jpg")
    (new / "京A00001" / "unseen.jpg").write_bytes(jpeg(scene(99)))
    clean.main(["scan", str(photos), "--out", str(tmp_path / "old"), *NO_EMBEDDINGS])
    more = ("--new_against", str(tmp_path / "old"), "--min_per_class", "0", "--methods", "duplicates")
    assert run_all(new, tmp_path / "run", *more) == 0
    assert removed(tmp_path / "run") == {"京A00001/arrived.jpg"}
    (row,) = [row for row in findings(tmp_path / "run") if row["method"] == "exact" and row["flagged"] == "True"]
    assert row["related"].endswith("photos/京A00001/3.jpg")
    assert clean.main(["apply", str(tmp_path / "run"), "--yes"]) == 0
    assert (photos / "京A00001" / "3.jpg").exists()
    assert not (new / "京A00001" / "arrived.jpg").exists()


def test_leaks_between_given_sides_are_shown_with_a_plan(photos: Path, tmp_path: Path) -> None:
    split = tmp_path / "split"
    for side, label in (("train", "京A00000"), ("val", "京A00001"), ("test", "京A00002")):
        shutil.copytree(photos / label, split / side / label)
    run_all(split, tmp_path / "run", "--layout", "sides")
    leaks = {row["path"] for row in findings(tmp_path / "run") if row["method"] == "leak"}
    assert leaks == {"train/京A00000/2.jpg", "val/京A00001/again.jpg"}
    assert "move_to" in (tmp_path / "run" / "leaks.csv").read_text("utf-8")


def test_the_split_of_training_is_checked(photos: Path, tmp_path: Path) -> None:
    for label in range(3, 9):
        (photos / f"粤B0000{label}").mkdir()
        for k in range(2):
            (photos / f"粤B0000{label}" / f"{k}.jpg").write_bytes(jpeg(scene(200 + 10 * label + k), 92))
    clean.main(["scan", str(photos), "--out", str(tmp_path / "run"), *NO_EMBEDDINGS])
    from dataset import split_identities

    for seed in range(40):
        sides = split_identities(sorted(path.name for path in photos.iterdir()), 0.3, 0.3, seed)
        clean.main([
            "find", str(tmp_path / "run"), "--check_split", "--seed", str(seed), "--val_ratio", "0.3",
            "--test_ratio", "0.3", "--methods", "exact",
        ])  # fmt: skip
        leaks = {row["path"] for row in findings(tmp_path / "run") if row["method"] == "leak"}
        assert bool(leaks) == (sides[0] != sides[1])
        if leaks:
            return
    raise AssertionError("no seed parted the two identities")


def test_hostile_files_never_end_a_run(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for number, factory in enumerate([*UNREADABLE.values(), *READABLE.values()]):
        (root / f"{number}").mkdir(parents=True)
        factory(root / f"{number}")
    before = contents(root)
    assert run_all(root, tmp_path / "run", "--min_per_class", "0") == 0
    assert sum(row["method"] == "unreadable" for row in findings(tmp_path / "run")) > 5
    clean.main(["apply", str(tmp_path / "run"), "--yes"])
    clean.main(["undo", str(tmp_path / "run")])
    assert contents(root) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fnd"], "did you mean find?"),
        (["find"], "give the folder of the run"),
        (["find", "{none}"], "is not a RUN folder"),
        (["report", "{none}"], "is not a RUN folder"),
        (["apply", "{none}"], "is not a RUN folder"),
        (["undo", "{none}"], "is not a RUN folder"),
        (["apply", "{scanned}"], "no findings yet"),
        (["report", "{scanned}"], "no findings yet"),
        (["undo", "{scanned}"], "nothing was applied"),
        (["scan", "{none}", "--embedder", "none"], "{none}"),
        (["methods", "phash"], "takes nothing"),
        (["scan", "{none}", "--iqa", "brisque", "--iqa_weights", "a.pth"], "metric=file"),
        (["find", "{scanned}", "--methods", "phsh"], "did you mean phash?"),
        (["find", "{scanned}", "--set", "laplacian.treshold=3"], "did you mean threshold?"),
        (["find", "{scanned}", "--same_view", "3"], "must be in [-1, 1]"),
        (["apply", "{scanned}", "--export", "a", "--quarantine", "b"], "give one of the two"),
    ],
)
def test_bad_input_is_one_line_that_names_what_is_wrong(
    arguments: list[str], says: str, tmp_path: Path, scanned: Path
) -> None:
    none = tmp_path / "none"
    with pytest.raises(UserError) as error:
        clean.main([argument.format(none=none, scanned=scanned) for argument in arguments])
    assert says.format(none=none) in str(error.value)
    assert "\n" not in str(error.value)
    assert not none.exists()


@pytest.mark.parametrize("name", ["findings.parquet", "pairs.parquet", "settings.yaml", "notes.json"])
def test_a_damaged_result_is_one_line_that_names_the_file(name: str, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_all(photos, run, "--methods", "exact")
    whole = (run / name).read_bytes()
    damages = [b"\xff\x00\xfe" * 99, whole[: len(whole) // 3] + b"\xff"]
    damages += [] if name == "settings.yaml" else [b'{"a": [1]}', b"[1]"]  # any text will do there
    for damaged in damages:
        (run / name).write_bytes(damaged)
        with pytest.raises(UserError, match=f"{name}: cannot be read .*; run find again") as error:
            clean.main(["report", str(run)])
        assert "\n" not in str(error.value)
    (run / name).unlink()
    with pytest.raises(UserError, match="find"):
        clean.main(["report", str(run)])


@pytest.mark.parametrize(
    "arguments",
    [("run", "--methods", "phsh"), ("run", "--set", "laplacian.treshold=3"), ("scan", "--new_against", "nowhere")],
    ids=" ".join,
)
def test_mistyped_names_are_refused_before_anything_is_read(
    arguments: tuple[str, ...], photos: Path, tmp_path: Path
) -> None:
    command, *flags = arguments
    with pytest.raises(UserError):
        clean.main([command, str(photos), "--out", str(tmp_path / "new"), "--embedder", "none", *flags])
    assert not (tmp_path / "new").exists()


def test_a_named_method_that_the_scan_has_nothing_for_is_an_error_and_a_default_one_is_said_to_be_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all(photos, tmp_path / "run")
    assert "not run: semantic" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="methods semantic: the scan holds no embeddings"):
        clean.main(["find", str(tmp_path / "run"), "--methods", "semantic"])


def test_calibrate_without_a_terminal_writes_the_page_and_takes_its_answers(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run_all(photos, run)
    assert clean.main(["calibrate", str(run), "--method", "phash", "--questions", "12"]) == 0
    assert (run / "calibration-phash.html").exists()
    assert "no answers yet" in capsys.readouterr().out
    assert not (run / "threshold-phash.json").exists()


@pytest.mark.parametrize("arguments", [["methods"], ["methods", "--help"]])
def test_the_list_of_methods_is_whole_in_a_narrow_terminal(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert clean.main(arguments) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert max(map(len, out.splitlines())) <= 80
    for text in (*METHODS, "max_share=0.3333", "max_pairs=50000000", "same_distance=none"):
        assert text in out


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, runpy; sys.argv = ['clean.py', 'COMMAND', '--help'];\n"
        "try: runpy.run_path('clean.py', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0, stop.code\n"
        "print(sorted({'numpy', 'torch', 'cv2', 'pyarrow', 'PIL'} & set(sys.modules)))"
    )
    for command in clean.COMMANDS.keys() - {"methods"}:
        text = code.replace("COMMAND", command)
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=ROOT, check=True)
        assert done.stdout.splitlines()[-1] == "[]", command


def test_a_copy_stays_where_the_archives_photo_is_gone_or_has_changed(photos: Path, tmp_path: Path) -> None:
    new, run = tmp_path / "new", tmp_path / "run"
    (new / "京A00001").mkdir(parents=True)
    shutil.copyfile(photos / "京A00001" / "3.jpg", new / "京A00001" / "arrived.jpg")
    (new / "京A00001" / "unseen.jpg").write_bytes(jpeg(scene(99)))
    clean.main(["scan", str(photos), "--out", str(tmp_path / "old"), *NO_EMBEDDINGS])
    run_all(new, run, "--new_against", str(tmp_path / "old"), "--min_per_class", "0", "--methods", "duplicates")
    original = photos / "京A00001" / "3.jpg"
    content = original.read_bytes()
    original.write_bytes(content[:-1] + b"x")
    with pytest.raises(UserError, match="has changed"):
        clean.main(["apply", str(run), "--yes"])
    original.unlink()
    with pytest.raises(UserError, match="is not there any more"):
        clean.main(["apply", str(run), "--yes"])
    assert (new / "京A00001" / "arrived.jpg").exists()
    original.write_bytes(content)
    assert clean.main(["apply", str(run), "--yes"]) == 0
    assert not (new / "京A00001" / "arrived.jpg").exists()


def test_a_run_around_the_collection_is_refused(photos: Path) -> None:
    with pytest.raises(UserError, match="contains the collection"):
        clean.main(["scan", str(photos), "--out", str(photos.parent), *NO_EMBEDDINGS])
