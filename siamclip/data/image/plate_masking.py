"""Hides number plates, so that a model cannot learn to read them.

Where a folder is a plate, a model that reads (and CLIP reads: Goh et al. 2021, "Multimodal Neurons in
Artificial Neural Networks") scores well without looking at the vehicle, and calls every cloned plate "same".
Boxes come from a CSV or from a detector.
"""

from __future__ import annotations

import csv
import math
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from siamclip.data.image.decode import decode_with_size
from siamclip.errors import UserError, suggestion

if TYPE_CHECKING:
    from siamclip.data.image.preprocess import Preprocessing


class Box(NamedTuple):
    """A rectangle in pixels: left, top, right, bottom; right and bottom lie just outside of it."""

    x1: float
    y1: float
    x2: float
    y2: float


def mask(
    image: np.ndarray,
    boxes: Sequence[Box],
    fill: str = "mean",
    full_size: tuple[int, int] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """A copy of a uint8 (H, W, 3) image with every box filled by a method of FILLS.

    `full_size` is the (width, height) that the boxes refer to, if the image was decoded at a reduced scale.
    Boxes are clipped to the image and rounded outwards, so that no edge of a plate stays visible. The fill
    "noise" draws from `seed`.
    """
    fill_patch = FILLS[_known(fill, FILLS, "plate fill")]
    masked = image.copy()
    height, width = image.shape[:2]
    full_width, full_height = full_size or (width, height)
    scale_x, scale_y = width / full_width, height / full_height
    rng = np.random.default_rng(seed)
    for box in boxes:
        left, right = max(0, math.floor(box.x1 * scale_x)), min(width, math.ceil(box.x2 * scale_x))
        top, bottom = max(0, math.floor(box.y1 * scale_y)), min(height, math.ceil(box.y2 * scale_y))
        if left < right and top < bottom:
            masked[top:bottom, left:right] = fill_patch(masked[top:bottom, left:right], image, rng)
    return masked


def read_boxes(csv_path: str | os.PathLike[str], root: str | os.PathLike[str]) -> dict[str, list[Box]]:
    """Boxes of a CSV with the columns path, x1, y1, x2, y2, by `box_key` of the photo; several rows a photo.

    Boxes are in pixels of the upright, full-size photo; paths are absolute or relative to `root`, with either
    slash. Raises UserError naming the file and the line of a malformed row, and if not one of the photos
    exists: then nothing would be hidden, and nobody would notice.
    """
    boxes: dict[str, list[Box]] = {}
    try:
        with Path(csv_path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            missing = sorted({"path", *Box._fields} - set(reader.fieldnames or ()))
            if missing:
                raise UserError("", f"{csv_path}: no column {', '.join(missing)}", "the header is path,x1,y1,x2,y2")
            for row in reader:
                path, box = _parse_row(row, f"{csv_path}, line {reader.line_num}")
                boxes.setdefault(_photo_key(path, Path(root)), []).append(box)
    except OSError as error:
        raise UserError("", f"{csv_path}: {error.strerror}", "give the CSV with the plates' boxes") from error
    except UnicodeDecodeError as error:
        raise UserError("", f"{csv_path}: not UTF-8 text", "save it as CSV UTF-8") from error
    except csv.Error as error:
        raise UserError("", f"{csv_path}, line {reader.line_num + 1}: {error}") from error
    if boxes and not any(Path(key).exists() for key in boxes):
        raise UserError("", f"{csv_path}: none of its photos exists", f"paths are absolute or relative to {root}")
    return boxes


def box_key(path: str | os.PathLike[str]) -> str:
    """The key of a photo in what `read_boxes` returns: its absolute path, without resolving links."""
    return os.path.normpath(Path(path).absolute())


class PlateDetector(Protocol):
    """Finds plates in a uint8 (H, W, 3) RGB image; boxes are in pixels of that image."""

    def detect(self, image: np.ndarray) -> list[Box]: ...


class HaarPlateDetector:
    """OpenCV's two cascades for Russian plates: any wide plate with dark characters on a light ground.

    Quick and without a download, but a plate must be some 100 pixels wide and seen nearly from the front, and
    two-line plates are missed: look at masked photos before you rely on it. Threads may share a detector.
    """

    def __init__(self) -> None:
        _cascades()

    def detect(self, image: np.ndarray) -> list[Box]:
        import cv2

        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return [
            Box(float(x), float(y), float(x + width), float(y + height))
            for cascade in _cascades()
            for x, y, width, height in cascade.detectMultiScale(gray, scaleFactor=1.1, minNeighbors=3)
        ]


class OcrPlateDetector:
    """Every text region that PP-OCR finds, lettering on the body included; needs rapidocr-onnxruntime.

    Finds plates of any country and angle, at about 0.3 s an image on one core. Threads may share a detector.
    """

    def __init__(self) -> None:
        try:
            from rapidocr_onnxruntime import RapidOCR
        except ImportError as error:
            # it depends on any opencv-python, and version 5 of that would take the Haar cascades away
            install = 'pip install rapidocr-onnxruntime "opencv-python<5"'
            raise UserError("", "plate detector ocr: its package is missing", f"run {install}") from error
        self._engine = RapidOCR()
        self._lock = threading.Lock()  # the engine keeps the size of the current image as state

    def __reduce__(self) -> tuple[type[OcrPlateDetector], tuple[()]]:
        return OcrPlateDetector, ()  # sessions cannot be pickled: a worker process opens its own

    def detect(self, image: np.ndarray) -> list[Box]:
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        with self._lock:
            quadrilaterals, _ = self._engine(bgr, use_det=True, use_cls=False, use_rec=False)
        if quadrilaterals is None:
            return []
        corners = np.asarray(quadrilaterals, dtype=float)  # (N, 4, 2)
        bounds = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return [Box(*bound) for bound in bounds.tolist()]


DETECTORS: dict[str, Callable[[], PlateDetector]] = {"haar": HaarPlateDetector, "ocr": OcrPlateDetector}


def make_detector(name: str) -> PlateDetector:
    """A detector of DETECTORS; UserError if there is none of that name or its package is missing."""
    return DETECTORS[_known(name, DETECTORS, "plate detector")]()


def masked_reader(
    preprocessing: Preprocessing,
    root: Path,
    boxes_csv: str | None,
    detector: str,
    probability: float,
    seed: int,
) -> Callable[[Path, int], np.ndarray]:
    """What loads a training photo: (file, index) -> uint8 (size, size, 3), plates hidden in a share of the photos.

    The share is drawn by index, so that a photo looks the same in every epoch and can be cached. `detector` is
    "none" or one of DETECTORS. Raises UserError for a bad CSV or an unknown detector.
    """
    boxes = read_boxes(boxes_csv, root) if boxes_csv else {}
    finder = make_detector(detector) if detector != "none" else None
    if not boxes and finder is None:
        return lambda file, _: preprocessing.load(file)

    def read(file: Path, index: int) -> np.ndarray:
        if np.random.default_rng([seed, index]).random() >= probability:
            return preprocessing.load(file)
        # A detector needs all the pixels: a plate is small.
        reduced = preprocessing.min_side if finder is None else None
        image, full_size = decode_with_size(file, reduced)
        found = boxes.get(box_key(file), [])
        if finder is not None:
            found = found + finder.detect(image)
        return preprocessing.fit(mask(image, found, full_size=full_size))

    return read


def _known(name: str, table: dict[str, Any], kind: str) -> str:
    """`name` itself if the table has it, otherwise UserError with the nearest one that it has."""
    if name in table:
        return name
    hint = suggestion(name, table, f"choose from {', '.join(table)}")
    raise UserError("", f"unknown {kind} {name!r}: {hint}")


def _fill_mean(patch: np.ndarray, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.rint(image.mean(axis=(0, 1))).astype(np.uint8)


def _fill_blur(patch: np.ndarray, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    import cv2

    # A character is at most ~0.6 plate heights wide; a Gaussian of half a plate height passes
    # exp(-2 (pi 0.5 / 0.6)^2) = 1e-6 of that frequency, less than one level of 255.
    sigma = 0.5 * min(patch.shape[:2])
    return cv2.GaussianBlur(patch, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _fill_noise(patch: np.ndarray, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, patch.shape, dtype=np.uint8)


Fill = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
FILLS: dict[str, Fill] = {"mean": _fill_mean, "blur": _fill_blur, "noise": _fill_noise}

_CASCADE_FILES = ("haarcascade_license_plate_rus_16stages.xml", "haarcascade_russian_plate_number.xml")
_loaded = threading.local()  # a cv2.CascadeClassifier can neither be shared between threads nor be pickled


def _cascades() -> list[Any]:
    import cv2

    if not hasattr(_loaded, "cascades"):
        paths = [Path(cv2.__file__).parent / "data" / name for name in _CASCADE_FILES]
        if not all(path.is_file() for path in paths):
            install = 'pip install "opencv-python-headless<5"'
            raise UserError("", f"plate detector haar: OpenCV {cv2.__version__} has no cascades", f"run {install}")
        _loaded.cascades = [cv2.CascadeClassifier(str(path)) for path in paths]
    return _loaded.cascades


def _parse_row(row: dict[str, str], where: str) -> tuple[str, Box]:
    if None in row or None in row.values():
        raise UserError("", f"{where}: the number of fields differs from the header's", "quote a path with a comma")
    if not row["path"]:
        raise UserError("", f"{where}: the path is empty")
    try:
        box = Box(*(float(row[name]) for name in Box._fields))
    except ValueError as error:
        raise UserError("", f"{where}: {error}", "x1, y1, x2, y2 are pixels") from error
    if not all(map(math.isfinite, box)) or box.x1 >= box.x2 or box.y1 >= box.y2:
        raise UserError("", f"{where}: not a box: x1 must be less than x2, and y1 less than y2")
    return row["path"], box


def _photo_key(path: str, root: Path) -> str:
    if "\\" in path and not (root / path).exists():  # elsewhere than on Windows a name may hold a backslash
        path = path.replace("\\", "/")
    return box_key(root / path)
