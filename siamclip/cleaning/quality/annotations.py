"""Boxes around objects, from whatever a labelling tool wrote: YOLO, COCO, Pascal VOC or a CSV.

The format is recognised: a folder of .txt files is YOLO, one of .xml files VOC, a .json file COCO, a .csv file has the
columns path, x1, y1, x2, y2. Boxes come relative to the photo, so that a photo that was scaled since keeps them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from xml.parsers import expat

import numpy as np

from siamclip.cleaning.contracts import PhotoTable
from siamclip.data.image.plate_masking import box_key, read_boxes
from siamclip.errors import UserError, printable

_NO_BOXES = ("classes.txt", "labels.txt", "README.txt", "requirements.txt")  # lie beside YOLO's files


class Annotation(NamedTuple):
    """One photo: its name as the file gives it and (B, 4) x1, y1, x2, y2, in units of `width` and `height`.

    These are 0 where the file does not say: pixels of the photo itself.
    """

    name: str
    where: str
    boxes: np.ndarray
    width: float
    height: float


@dataclass
class Boxes:
    """`rows` (B,) of the photos and `corners` (B, 4) x1, y1, x2, y2 in [0, 1], clipped to the photo."""

    rows: np.ndarray
    corners: np.ndarray
    unknown: int = 0  # photos with boxes that the collection does not have

    @property
    def areas(self) -> np.ndarray:
        """(B,) float64 in [0, 1]: share of the photo."""
        return (self.corners[:, 2] - self.corners[:, 0]) * (self.corners[:, 3] - self.corners[:, 1])


def read_annotations(source: str, photos: PhotoTable) -> Boxes:
    """The boxes of a file or folder, matched with the photos by relative path, or by a name that is unique.

    Raises UserError naming the file and the line (of JSON: the entry) that is wrong, for a name that several
    photos have, and where not one photo of the source is in the collection.
    """
    path = Path(source)
    by_name = _ByName(photos)
    rows: list[int] = []
    corners: list[np.ndarray] = []
    unknown = 0
    annotations, without_suffix = _annotations(path, photos.root)
    widths, heights = photos.column("width"), photos.column("height")
    for annotation in annotations:
        matches = by_name.rows(annotation.name, annotation.where, without_suffix)
        unknown += not matches
        for row in matches:
            size = np.array([annotation.width or widths[row], annotation.height or heights[row]], float)
            if size.min() > 0:  # of an unreadable photo the size is not known
                rows += [row] * len(annotation.boxes)
                corners.append(np.clip(annotation.boxes / np.tile(size, 2), 0, 1))
    if not rows:
        raise UserError("", f"{source}: no box of a photo in {photos.root}", "names must match paths relative to it")
    return Boxes(np.array(rows, np.int64), np.concatenate(corners), unknown)


def _annotations(path: Path, root: Path) -> tuple[Iterator[Annotation], bool]:
    """What the source holds, and whether its names come without the photos' suffixes."""
    if not path.exists():
        raise UserError("", f"{path}: does not exist", "give a folder of YOLO or VOC files, a COCO .json or a .csv")
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix == ".csv":
            return _csv(path, root), False
        if suffix == ".json":
            return _coco(path), False
        raise UserError("", f"{path}: boxes come as a folder of YOLO .txt or VOC .xml files, a COCO .json or a .csv")
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in sorted(names)]
    texts = [file for file in files if file.suffix == ".txt" and file.name not in _NO_BOXES]
    documents = [file for file in files if file.suffix == ".xml"]
    if bool(texts) == bool(documents):
        found = "both YOLO .txt and VOC .xml files" if texts else "neither YOLO .txt nor VOC .xml files"
        raise UserError("", f"{path}: {found}", "give the folder of one format")
    return (_yolo(path, texts), True) if texts else (_voc(documents), False)


def _csv(path: Path, root: Path) -> Iterator[Annotation]:
    for key, boxes in read_boxes(path, root).items():
        yield Annotation(os.path.relpath(key, box_key(root)), str(path), np.array(boxes, float), 0, 0)


def _yolo(folder: Path, files: list[Path]) -> Iterator[Annotation]:
    """One file a photo, one line a box: class, centre x, centre y, width, height [, confidence], in shares."""
    for file in files:
        boxes = []
        for number, line in enumerate(_text(file).splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            where = f"{file}, line {number}"
            if len(fields) not in (5, 6):
                raise UserError("", f"{where}: {len(fields)} fields", "a YOLO box is: class cx cy width height")
            centre_x, centre_y, width, height = _numbers(fields[1:5], where)
            if not (0 <= width <= 1.001 and 0 <= height <= 1.001):
                raise UserError("", f"{where}: width and height of a YOLO box are shares of the photo, from 0 to 1")
            half = np.array([width, height]) / 2
            centre = np.array([centre_x, centre_y])
            boxes.append(np.concatenate([centre - half, centre + half]))
        if boxes:
            yield Annotation(file.relative_to(folder).with_suffix("").as_posix(), str(file), np.array(boxes), 1, 1)


def _coco(path: Path) -> Iterator[Annotation]:
    """`images` with id and file_name [, width, height], `annotations` with image_id and bbox x, y, width, height."""
    try:
        document = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError("", f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    except RecursionError as error:
        raise UserError("", f"{path}: not COCO: nested too deeply") from error
    if not isinstance(document, dict) or not all(isinstance(document.get(k), list) for k in ("images", "annotations")):
        raise UserError("", f"{path}: not COCO: it has no lists 'images' and 'annotations'")
    boxes: dict[Any, list[np.ndarray]] = {}
    for number, entry in enumerate(document["annotations"]):
        where = f"{path}, annotations[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int | str):
            raise UserError("", f"{where}: no image_id")
        box = entry.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise UserError("", f"{where}: bbox must be [x, y, width, height]")
        x, y, width, height = _numbers(box, where)
        if width < 0 or height < 0:
            raise UserError("", f"{where}: a bbox of negative size")
        boxes.setdefault(entry["image_id"], []).append(np.array([x, y, x + width, y + height]))
    for number, entry in enumerate(document["images"]):
        where = f"{path}, images[{number}]"
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not isinstance(entry.get("id"), int | str):
            raise UserError("", f"{where}: needs an id and a file_name")
        width, height = _numbers([entry.get("width") or 0, entry.get("height") or 0], where)
        if entry["id"] in boxes:
            yield Annotation(name, where, np.array(boxes.pop(entry["id"])), width, height)
    if boxes:
        raise UserError(
            "", f"{path}: boxes of image_id {printable(str(next(iter(boxes))))}, which is not among the images"
        )


def _voc(files: list[Path]) -> Iterator[Annotation]:
    """One file a photo: filename, size, and object/bndbox with xmin, ymin, xmax, ymax in pixels, as written."""
    for file in files:
        document = _VocDocument(file)
        if document.boxes:
            name = document.texts.get("filename") or file.with_suffix("").name
            size = [document.texts.get("size/width") or 0, document.texts.get("size/height") or 0]
            width, height = _numbers(size, f"{file}, size")
            yield Annotation(name, str(file), np.array(document.boxes), width, height)


@dataclass
class _VocDocument:
    """Read with expat alone, because it tells the line, and lets a document type be refused before it is read:
    entities can make a kilobyte into gigabytes."""

    file: Path
    texts: dict[str, str] = field(default_factory=dict)
    boxes: list[np.ndarray] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)
    _text: str = ""

    def __post_init__(self) -> None:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._characters
        parser.EndElementHandler = lambda _: self._end(parser.CurrentLineNumber)
        try:
            parser.Parse(_bytes(self.file), True)
        except expat.ExpatError as error:
            message = expat.ErrorString(error.code)
            raise UserError("", f"{self.file}, line {error.lineno}: not XML ({message})") from error

    def _refuse(self, *_: object) -> None:
        raise UserError("", f"{self.file}: a document type is not accepted", "remove the <!DOCTYPE ...>")

    def _start(self, name: str, _: object) -> None:
        self._open.append(name)
        self._text = ""
        if self._open[1:] == ["object", "bndbox"]:
            for side in _SIDES:
                self.texts.pop(f"object/bndbox/{side}", None)

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, line: int) -> None:
        place = "/".join(self._open[1:])
        self._open.pop()
        self.texts[place] = self._text.strip()
        if place != "object/bndbox":
            return
        where = f"{self.file}, line {line}"
        corners = _numbers([self.texts.get(f"{place}/{side}") for side in _SIDES], where)
        if corners[0] > corners[2] or corners[1] > corners[3]:
            raise UserError("", f"{where}: a bndbox of negative size")
        self.boxes.append(np.array(corners))


_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _ByName:
    """Finds the rows of photos by the names that annotation files use."""

    def __init__(self, photos: PhotoTable) -> None:
        self._root = photos.root
        self._tables: dict[bool, tuple[dict[str, list[int]], dict[str, list[int]]]] = {}
        self._paths = photos.paths

    def rows(self, name: str, where: str, without_suffix: bool) -> list[int]:
        """Of a path relative to the root, an absolute one, or a bare name; [] if there is none."""
        by_path, by_name = self._table(without_suffix)
        posix = name.replace("\\", "/")
        if posix.startswith("/"):
            posix = Path(os.path.relpath(posix, self._root.absolute())).as_posix()
        for candidate in (name, posix, posix.removeprefix("./")):
            if candidate in by_path:
                return by_path[candidate]
        matches = by_name.get(PurePosixPath(posix).name, [])
        if len({self._paths[row].rpartition("/")[0] for row in matches}) > 1:
            raise UserError(
                "",
                f"{where}: {printable(name)} is the name of {len(matches)} photos",
                f"give paths relative to {self._root}",
            )
        return matches

    def _table(self, without_suffix: bool) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        if without_suffix not in self._tables:
            by_path: dict[str, list[int]] = {}
            by_name: dict[str, list[int]] = {}
            for row, path in enumerate(self._paths):
                key = str(PurePosixPath(path).with_suffix("")) if without_suffix else path
                by_path.setdefault(key, []).append(row)
                by_name.setdefault(key.rpartition("/")[2], []).append(row)
            self._tables[without_suffix] = by_path, by_name
        return self._tables[without_suffix]


def _numbers(values: list[Any], where: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError("", f"{where}: a box needs four numbers, not {printable(str(values))}") from error
    if not all(map(math.isfinite, numbers)):
        raise UserError("", f"{where}: {printable(str(values))} are not all finite")
    return numbers


def _text(file: Path) -> str:
    try:
        return _bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError("", f"{file}: not UTF-8 text") from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError("", f"{file}: {error.strerror}") from error
