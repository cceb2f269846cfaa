"""The data set on disk: counts, ground truth, repeatability, and no harm to anybody's files."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from demo import build_demo, contact_sheet
from demo.__main__ import choose_for_sheet, main
from demo.build import DemoPaths
from siamclip.errors import UserError

SMALL = {"vehicles": 4, "sightings": 3, "cloned_plates": 2, "size": 64}


def digest(root: Path) -> dict[str, str]:
    """Hash of every file below a folder."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    """A CSV's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPaths:
    """A small data set; tests only read it."""
    return build_demo(tmp_path_factory.mktemp("demo") / "data", **SMALL, workers=1)


def test_every_row_is_a_picture_of_that_size_and_every_picture_a_row(demo: DemoPaths) -> None:
    rows = table(demo.ground_truth)
    assert len(rows) == (4 + 2) * 3
    on_disk = {path.relative_to(demo.vehicles).as_posix() for path in demo.vehicles.rglob("*.jpg")}
    assert {row["path"] for row in rows} == on_disk
    for row in rows:
        image = cv2.imdecode(np.fromfile(demo.vehicles / row["path"], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape[:2] == (int(row["height"]), int(row["width"]))
        assert max(image.shape) == 64


def test_a_folder_is_one_vehicle_and_a_clone_has_the_plate_of_its_original(demo: DemoPaths) -> None:
    rows = table(demo.ground_truth)
    folders = {row["path"].split("/")[0]: row for row in rows}
    assert len(folders) == len({row["vehicle"] for row in rows}) == 6
    by_vehicle = {row["vehicle"]: row for row in rows}
    for folder, row in folders.items():
        assert folder == row["plate"] + ("~clone" if row["is_clone"] == "1" else "")
        if row["is_clone"] == "1":
            original = by_vehicle[row["clone_of"]]
            assert original["plate"] == row["plate"] and original["body_type"] == row["body_type"]
    assert sum(row["is_clone"] == "1" for row in folders.values()) == 2


def test_boxes_lie_in_their_pictures(demo: DemoPaths) -> None:
    sizes = {row["path"]: (int(row["width"]), int(row["height"])) for row in table(demo.ground_truth)}
    boxes = table(demo.plates)
    assert len({box["path"] for box in boxes}) == len(boxes) > len(sizes) // 2
    for box in boxes:
        x1, y1, x2, y2 = (int(box[name]) for name in ("x1", "y1", "x2", "y2"))
        width, height = sizes[box["path"]]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def test_cloned_pairs_show_one_plate_and_say_whether_one_vehicle(demo: DemoPaths) -> None:
    truth = {row["path"]: row for row in table(demo.ground_truth)}
    pairs = table(demo.cloned_pairs)
    for pair in pairs:
        a, b = truth[pair["path_a"]], truth[pair["path_b"]]
        assert a["path"] != b["path"] and a["plate"] == b["plate"] == pair["plate"]
        assert (a["vehicle"] == b["vehicle"]) == (pair["same"] == "1")
    # Each plate: 3 pairs within each of two vehicles, and as many of the 9 across.
    assert Counter(pair["same"] for pair in pairs) == {"1": 12, "0": 12}
    assert len({(pair["path_a"], pair["path_b"]) for pair in pairs}) == len(pairs)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(demo: DemoPaths, tmp_path: Path) -> None:
    again = build_demo(tmp_path / "again", **SMALL, workers=1)
    assert digest(again.root) == digest(demo.root)
    other = build_demo(tmp_path / "other", **SMALL, seed=1, workers=1)
    pictures = set(digest(demo.vehicles).values())
    assert not pictures & set(digest(other.vehicles).values())


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_a_byte(tmp_path: Path) -> None:
    size = {"vehicles": 6, "sightings": 6, "cloned_plates": 1, "size": 48}
    alone = build_demo(tmp_path / "alone", **size, workers=1)
    shared = build_demo(tmp_path / "shared", **size, workers=2)
    assert digest(shared.root) == digest(alone.root)


def test_a_complete_set_is_left_as_it_is(demo: DemoPaths) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo.root.rglob("*")}
    calls: list[tuple[int, int]] = []
    build_demo(demo.root, **SMALL, progress=lambda done, total: calls.append((done, total)))
    assert {path: path.stat().st_mtime_ns for path in demo.root.rglob("*")} == before
    assert calls == []


def test_an_interrupted_run_is_completed_and_a_missing_picture_made_again(demo: DemoPaths, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(done: int, total: int) -> None:
        if done >= total // 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        build_demo(tmp_path / "data", **SMALL, workers=1, progress=interrupt)
    partial = DemoPaths(tmp_path / "data")
    assert not json.loads(partial.manifest.read_text())["complete"]
    assert not partial.ground_truth.exists()
    build_demo(partial.root, **SMALL, workers=1)
    assert digest(partial.root) == digest(demo.root)
    next(partial.vehicles.rglob("*.jpg")).unlink()
    build_demo(partial.root, **SMALL, workers=1)
    assert digest(partial.root) == digest(demo.root)


def test_progress_counts_every_picture(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    build_demo(
        tmp_path / "data",
        vehicles=2,
        sightings=2,
        cloned_plates=1,
        size=48,
        workers=1,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(0, 6), (2, 6), (4, 6), (6, 6)]


@pytest.mark.parametrize("name", ["holiday.jpg", "manifest.json"])
def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[mine]")
    before = digest(tmp_path)
    with pytest.raises(UserError, match="not a demo data set"):
        build_demo(tmp_path, **SMALL)
    assert digest(tmp_path) == before


def test_other_parameters_are_refused_with_those_that_were_used(demo: DemoPaths) -> None:
    before = digest(demo.root)
    with pytest.raises(UserError, match="vehicles 4, sightings 3"):
        build_demo(demo.root, **{**SMALL, "seed": 7})
    assert digest(demo.root) == before


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        build_demo(tmp_path / "file", **SMALL)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vehicles", 0),
        ("sightings", 0),
        ("cloned_plates", 5),
        ("cloned_plates", -1),
        ("size", 8),
        ("seed", -1),
        ("workers", 0),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(tmp_path: Path, name: str, value: int) -> None:
    with pytest.raises(UserError, match=f"^{name} {value}"):
        build_demo(tmp_path / "data", **{**SMALL, name: value})
    assert not (tmp_path / "data").exists()


def test_the_command_builds_and_draws_a_sheet(
    demo: DemoPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--out",
        str(demo.root),
        "--vehicles",
        "4",
        "--sightings",
        "3",
        "--cloned_plates",
        "2",
        "--size",
        "64",
    ]
    sheet = tmp_path / "new" / "sheet.png"
    main([*arguments, "--sheet", str(sheet)])
    rows = len(choose_for_sheet(demo.ground_truth)) // 3
    assert cv2.imread(str(sheet)).shape == (rows * 131 + 3, 3 * 131 + 3, 3)
    assert str(demo.vehicles) in capsys.readouterr().out


def test_the_command_ends_with_2_and_one_line_on_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path), "--vehicles", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: --vehicles 0: must lie in 1 to 100000\n"


def test_a_sheet_names_the_picture_that_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(UserError, match=r"a\.jpg is not a picture"):
        contact_sheet([tmp_path / "a.jpg"], tmp_path / "out.png", columns=1)


def test_a_sheet_refuses_an_unknown_ending_and_no_pictures(demo: DemoPaths, tmp_path: Path) -> None:
    picture = next(demo.vehicles.rglob("*.jpg"))
    with pytest.raises(UserError, match=r"\.jpg or \.png"):
        contact_sheet([picture], tmp_path / "out.xyz", columns=1)
    with pytest.raises(UserError, match="at least one"):
        contact_sheet([], tmp_path / "out.png", columns=1)
