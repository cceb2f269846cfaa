from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from siamclip.cleaning.contracts import PhotoTable
from siamclip.cleaning.quality.annotations import read_annotations
from siamclip.cleaning.quality.object_area import object_area
from siamclip.errors import UserError
from tests.cleaning.gray_photos import photos

PATHS = ["a/one.jpg", "a/two.jpg", "b/three.png", "b/four.jpg", "b/empty.jpg"]


@pytest.fixture
def table(tmp_path: Path) -> PhotoTable:
    """Photos of 200 x 100 pixels; the last has no boxes."""
    found = photos({"width": [200] * 5, "height": [100] * 5}, paths=PATHS)
    found.root = tmp_path / "photos"
    for path in PATHS:
        found.file(PATHS.index(path)).parent.mkdir(parents=True, exist_ok=True)
        found.file(PATHS.index(path)).touch()
    return found


# One small and one large box in one.jpg, a tiny one in two.jpg, one over the borders in three.png, a good one in four.
BOXES = {
    "a/one.jpg": [(0, 0, 10, 10), (50, 20, 150, 70)],
    "a/two.jpg": [(100, 50, 102, 52)],
    "b/three.png": [(-20, -10, 196, 130)],
    "b/four.jpg": [(10, 10, 110, 60)],
}
AREAS = {"a/one.jpg": 0.25, "a/two.jpg": 0.0002, "b/three.png": 0.98, "b/four.jpg": 0.25}


def write_csv(folder: Path) -> Path:
    lines = [f"{name},{','.join(map(str, box))}" for name, boxes in BOXES.items() for box in boxes]
    (folder / "boxes.csv").write_text("\n".join(["path,x1,y1,x2,y2", *lines]))
    return folder / "boxes.csv"


def write_coco(folder: Path) -> Path:
    images = [{"id": number, "file_name": name, "width": 200, "height": 100} for number, name in enumerate(BOXES)]
    images.append({"id": 99, "file_name": "b/empty.jpg"})
    annotations = [
        {"image_id": number, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for number, boxes in enumerate(BOXES.values())
        for x1, y1, x2, y2 in boxes
    ]
    (folder / "boxes.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder / "boxes.json"


def write_yolo(folder: Path) -> Path:
    for name, boxes in BOXES.items():
        file = (folder / "labels" / name).with_suffix(".txt")
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        for box in boxes:  # YOLO's tools clip before they write
            x1, x2 = np.clip(box[::2], 0, 200) / 200
            y1, y2 = np.clip(box[1::2], 0, 100) / 100
            lines.append(f"0 {(x1 + x2) / 2} {(y1 + y2) / 2} {x2 - x1} {y2 - y1}")
        file.write_text("\n".join(lines) + "\n")
    (folder / "labels" / "classes.txt").write_text("vehicle\n")
    return folder / "labels"


def write_voc(folder: Path) -> Path:
    (folder / "voc").mkdir()
    for name, boxes in BOXES.items():
        objects = "".join(
            f"<object><name>vehicle</name><part><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>200</xmax><ymax>100</ymax>"
            f"</bndbox></part><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox>"
            f"</object>"
            for x1, y1, x2, y2 in boxes
        )
        text = f"""<annotation><folder>x</folder><filename>{Path(name).name}</filename>
            <size><width>200</width><height>100</height><depth>3</depth></size>{objects}</annotation>"""
        (folder / "voc" / f"{Path(name).stem}.xml").write_text(text)
    return folder / "voc"


WRITERS = {"csv": write_csv, "coco": write_coco, "yolo": write_yolo, "voc": write_voc}


@pytest.mark.parametrize("format_", WRITERS)
def test_every_format_gives_the_same_findings(format_: str, table: PhotoTable, tmp_path: Path) -> None:
    source = str(WRITERS[format_](tmp_path))
    boxes = read_annotations(source, table)
    largest = {PATHS[row]: max(boxes.areas[boxes.rows == row]) for row in np.unique(boxes.rows)}
    assert largest == pytest.approx(AREAS)
    assert boxes.corners.min() >= 0 and boxes.corners.max() <= 1
    found = object_area(table, boxes=source, max_share=0.5)
    assert found.rows.tolist() == [1, 2] and not found.keep.any()
    assert found.reason[0].startswith("object too small: largest box covers 0.02%, below 0.1%")
    assert found.reason[1].startswith("object too large: largest box covers 98%, above 90%")
    assert found.notes["photos without a box"] == 1 and found.notes["boxes"] == 5


@pytest.mark.parametrize("format_", WRITERS)
def test_unknown_photos_are_counted(format_: str, table: PhotoTable, tmp_path: Path) -> None:
    source = str(WRITERS[format_](tmp_path))
    table.paths[3] = "b/renamed.jpg"
    assert object_area(table, boxes=source).notes["unknown photos"] == 1


def test_scaled_photos_keep_their_boxes(table: PhotoTable, tmp_path: Path) -> None:
    """COCO and VOC say how large the photo was."""
    table.columns["width"] = np.array([100] * 5)
    table.columns["height"] = np.array([50] * 5)
    for writer in (write_coco, write_voc):
        boxes = read_annotations(str(writer(tmp_path)), table)
        assert boxes.areas[boxes.rows == 3] == pytest.approx([0.25])


def test_unreadable_photos_have_no_size(table: PhotoTable, tmp_path: Path) -> None:
    source = str(write_csv(tmp_path))
    table.errors[0] = "damaged"
    table.columns["width"][0] = table.columns["height"][0] = 0
    assert object_area(table, boxes=source).notes["judged"] == 3


def test_names_are_matched_by_path_and_by_unique_name(table: PhotoTable, tmp_path: Path) -> None:
    def rows(name: str) -> list[int]:
        document = {"images": [{"id": 1, "file_name": name}], "annotations": [{"image_id": 1, "bbox": [0, 0, 5, 5]}]}
        (tmp_path / "one.json").write_text(json.dumps(document))
        return read_annotations(str(tmp_path / "one.json"), table).rows.tolist()

    assert rows("a/two.jpg") == rows("./a/two.jpg") == rows("a\\two.jpg") == rows("two.jpg") == [1]
    assert rows(str(table.root / "a" / "two.jpg")) == rows("elsewhere/two.jpg") == [1]
    with pytest.raises(UserError, match="no box of a photo"):
        rows("missing.jpg")
    table.paths[0] = "b/two.jpg"
    assert rows("a/two.jpg") == [1]
    with pytest.raises(UserError, match=r"images\[0\]: two.jpg is the name of 2 photos; give paths"):
        rows("two.jpg")


def test_boxes_must_be_given(table: PhotoTable) -> None:
    with pytest.raises(UserError, match=r"set object_area\.boxes="):
        object_area(table)


def text(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
        return path if path.suffix in (".json", ".csv", ".zip") else path.parent

    return write


def coco(**document: object) -> Callable[[Path], Path]:
    image = {"id": 1, "file_name": "one.jpg"}
    return text("x.json", json.dumps({"images": [image], "annotations": []} | document))


def box(*values: object) -> list[dict[str, object]]:
    return [{"image_id": 1, "bbox": [1, 2, 3, 4]}, {"image_id": 1, "bbox": list(values)}]


VOC = """<annotation>
<object><bndbox>
<xmin>1</xmin><ymin>{}</ymin><xmax>3</xmax><ymax>4</ymax>
</bndbox></object>
</annotation>"""
BOMB = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]>\n<annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda folder: folder / "nowhere", "nowhere: does not exist"),
        (text("boxes.zip", ""), "boxes come as a folder"),
        (text("y/readme.md", ""), "neither YOLO .txt nor VOC .xml"),
        (text("y/one.txt", "0 .5 .5 .1 .1\n\n0 .5 .5 .1\n"), r"one.txt, line 3: 4 fields"),
        (text("y/one.txt", "0 .5 .5 .1 .1\n0 .5 .5 .1 x\n"), r"one.txt, line 2: a box needs four numbers"),
        (text("y/one.txt", "0 nan .5 .1 .1\n"), r"one.txt, line 1: .* not all finite"),
        (text("y/one.txt", "0 50 50 10 10\n"), r"one.txt, line 1: width and height of a YOLO box are shares"),
        (text("x.csv", "path,x1,y1,x2,y2\none.jpg,5,5,1,1\n"), r"x.csv, line 2: not a box"),
        (text("x.json", '{"images": [],\n oops}'), r"x.json, line 2: not JSON"),
        (text("x.json", "[" * 100_000), "x.json"),
        (text("x.json", "[1]"), "not COCO"),
        (coco(annotations=box(1, 2, 3)), r"annotations\[1\]: bbox must be"),
        (coco(annotations=box(1, 2, -3, 4)), r"annotations\[1\]: a bbox of negative size"),
        (coco(annotations=box(1, 2, "x", 4)), r"annotations\[1\]: a box needs four numbers"),
        (coco(annotations=box(1, 2, 10**400, 4)), r"annotations\[1\]: a box needs four numbers"),
        (coco(annotations=[{"bbox": [1, 2, 3, 4]}]), r"annotations\[0\]: no image_id"),
        (coco(annotations=[{"image_id": 7, "bbox": [1, 2, 3, 4]}]), "image_id 7, which is not among the images"),
        (coco(images=[{"id": 1}]), r"images\[0\]: needs an id and a file_name"),
        (text("v/one.xml", VOC.format(2).replace("</object>", "")), r"one.xml, line 5: not XML"),
        (text("v/one.xml", VOC.format("x")), r"one.xml, line 4: a box needs four numbers"),
        (text("v/one.xml", VOC.format(5)), r"one.xml, line 4: a bndbox of negative size"),
        (text("v/one.xml", VOC.format(2).replace("<xmin>1</xmin>", "")), r"one.xml, line 4: a box needs four"),
        (text("v/one.xml", BOMB), r"one.xml: a document type is not accepted"),
    ],
)
def test_bad_annotations_are_named(
    write: Callable[[Path], Path], message: str, table: PhotoTable, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        object_area(table, boxes=str(write(tmp_path)))


def test_a_folder_of_both_formats_is_refused(table: PhotoTable, tmp_path: Path) -> None:
    folder = write_voc(tmp_path)
    (folder / "one.txt").write_text("0 .5 .5 .1 .1\n")
    with pytest.raises(UserError, match=r"both YOLO \.txt and VOC \.xml"):
        object_area(table, boxes=str(folder))
