from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.errors import UserError
from siamclip.image import decode_with_size
from siamclip.plates import DETECTORS, FILLS, Box, box_key, make_detector, mask, read_boxes
from tests.hostile import encoded, smooth_rgb, with_orientation

coordinates = st.floats(-30, 70, allow_nan=False)
boxes = st.lists(st.builds(Box, coordinates, coordinates, coordinates, coordinates), max_size=4)


def street_with_plate(text: str, plate_width: int) -> tuple[np.ndarray, Box]:
    """A plate of Russian proportions on a dark bumper: uint8 (480, 640, 3) and the plate's box."""
    noise = np.random.default_rng(0).normal(90, 12, (480, 640, 3))
    image = cv2.GaussianBlur(noise, (0, 0), 3).clip(0, 255).astype(np.uint8)
    height, x, y = plate_width * 112 // 520, (640 - plate_width) // 2, 288
    image[y - 30 : y + height + 30, x - 60 : x + plate_width + 60] = 60
    image[y : y + height, x : x + plate_width] = 20
    image[y + 2 : y + height - 2, x + 2 : x + plate_width - 2] = 245
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1, 2)
    scale = min(0.88 * plate_width / text_width, 0.66 * height / text_height)
    origin = (x + int(plate_width - text_width * scale) // 2, y + int(height + text_height * scale) // 2)
    stroke = max(2, int(2.2 * scale))
    cv2.putText(image, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (15, 15, 15), stroke, cv2.LINE_AA)
    return image, Box(x, y, x + plate_width, y + height)


@settings(max_examples=60)
@given(boxes, st.sampled_from(sorted(FILLS)))
def test_mask_changes_the_boxes_only_and_never_its_input(found: list[Box], fill: str) -> None:
    image = smooth_rgb()
    before = image.copy()
    masked = mask(image, found, fill)
    np.testing.assert_array_equal(image, before)
    outside = np.ones(image.shape[:2], bool)
    for (y, x), _ in np.ndenumerate(outside):
        outside[y, x] = not any(b.x1 < x + 1 and b.x2 > x and b.y1 < y + 1 and b.y2 > y for b in found)
    np.testing.assert_array_equal(masked[outside], image[outside])
    np.testing.assert_array_equal(mask(image, found, fill), masked)


def test_mask_without_boxes_is_an_unchanged_copy() -> None:
    image = smooth_rgb()
    masked = mask(image, [])
    np.testing.assert_array_equal(masked, image)
    assert not np.shares_memory(masked, image)


def test_mask_mean_is_the_image_mean_on_every_touched_pixel() -> None:
    image = smooth_rgb()
    masked = mask(image, [Box(10.9, 4.9, 20.1, 8.1)], "mean")
    expected = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    np.testing.assert_array_equal(masked[4:9, 10:21], np.broadcast_to(expected, (5, 11, 3)))


@pytest.mark.parametrize("fill", sorted(FILLS))
def test_two_plate_texts_cannot_be_told_apart(fill: str) -> None:
    one, box = street_with_plate("A111AA 11", 240)
    two, _ = street_with_plate("K888MM 99", 240)
    difference = np.abs(mask(one, [box], fill).astype(int) - mask(two, [box], fill))
    if fill == "blur":  # the mean of the ink is left, the characters are not: nothing but slow gradients
        patch = difference[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)]
        assert np.abs(np.diff(patch, axis=1)).max() <= 2
    else:
        assert difference.max() <= 1


def test_noise_depends_on_the_seed() -> None:
    image, box = smooth_rgb(), Box(0, 0, 30, 30)
    assert (mask(image, [box], "noise", seed=1) != mask(image, [box], "noise", seed=2)).any()


def test_boxes_of_the_full_size_photo_fit_a_reduced_and_rotated_one() -> None:
    photo = np.zeros((400, 600, 3), np.uint8)
    photo[320:360, 80:240] = 255
    stored = np.ascontiguousarray(np.rot90(photo))  # orientation 6: to be turned clockwise by a viewer
    reduced, full_size = decode_with_size(with_orientation(6, image=stored), min_side=100)
    assert full_size == (600, 400) and reduced.shape == (100, 150, 3)
    assert reduced.max() > 250
    margin = Box(72, 312, 248, 368)  # the scaled edge of the plate is blurred over its neighbours
    assert mask(reduced, [margin], "mean", full_size).max() < 32


def test_unknown_fill_suggests_one() -> None:
    with pytest.raises(UserError, match="did you mean blur"):
        mask(smooth_rgb(), [], "blurr")


def photo_folder(root: Path) -> None:
    (root / "京A12345").mkdir()
    for name in ("1.png", "2.png"):
        (root / "京A12345" / name).write_bytes(encoded(smooth_rgb(), "PNG"))


def test_read_boxes(tmp_path: Path) -> None:
    photo_folder(tmp_path)
    absolute = tmp_path / "京A12345" / "2.png"
    table = tmp_path / "boxes.csv"
    table.write_text(
        f"path,x1,y1,x2,y2,note\n京A12345/1.png,1,2,3.5,4,a\n京A12345\\1.png,5,6,7,8,b\n{absolute},0,0,9,9,c\n",
        encoding="utf-8-sig",  # as Excel saves it
    )
    assert read_boxes(table, tmp_path) == {
        box_key(tmp_path / "京A12345" / "1.png"): [Box(1, 2, 3.5, 4), Box(5, 6, 7, 8)],
        box_key(absolute): [Box(0, 0, 9, 9)],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.png,1,2,3", "line 3: the number of fields"),
        ("a.png,1,2,3,4,5", "line 3: the number of fields"),
        ("a.png,1,2,three,4", "line 3: .*three"),
        ("a.png,1,2,nan,4", "line 3: not a box"),
        ("a.png,3,2,1,4", "line 3: not a box"),
        ("a.png,1,4,3,4", "line 3: not a box"),
        (",1,2,3,4", "line 3: the path is empty"),
        ('"a.png,1,2,3,4', "line 3"),
    ],
)
def test_malformed_row_names_file_and_line(row: str, message: str, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_text(f"path,x1,y1,x2,y2\nb.png,1,2,3,4\n{row}\n")
    with pytest.raises(UserError, match=message) as caught:
        read_boxes(table, tmp_path)
    assert "boxes.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column path, x1"),
        (b"path,x1,y1,x2\n", "no column y2"),
        ("path,x1,y1,x2,y2\n京.png,1,2,3,4\n".encode("gbk"), "UTF-8"),
        (b"path,x1,y1,x2,y2\nelsewhere.png,1,2,3,4\n", "none of its photos exists"),
    ],
)
def test_unusable_table(content: bytes, message: str, tmp_path: Path) -> None:
    table = tmp_path / "boxes.csv"
    table.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_boxes(table, tmp_path)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_boxes(tmp_path / "boxes.csv", tmp_path)


@pytest.mark.parametrize(("text", "plate_width"), [("A123BC 77", 160), ("K407MM199", 240), ("JA12345", 320)])
def test_haar_covers_a_frontal_plate(text: str, plate_width: int) -> None:
    image, plate = street_with_plate(text, plate_width)
    found = pickle.loads(pickle.dumps(make_detector("haar"))).detect(image)
    assert 1 <= len(found) <= 4  # and not the whole street
    masked = mask(image, found)
    characters = image[int(plate.y1) : int(plate.y2), int(plate.x1) : int(plate.x2)] < 20
    hidden = masked[int(plate.y1) : int(plate.y2), int(plate.x1) : int(plate.x2)] >= 20
    assert hidden[characters].mean() > 0.9


def test_haar_finds_nothing_on_an_empty_street() -> None:
    assert make_detector("haar").detect(np.full((200, 300, 3), 128, np.uint8)) == []


def test_haar_from_many_threads() -> None:
    detector = make_detector("haar")
    image, _ = street_with_plate("K407MM199", 240)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(detector.detect, [image] * 8))
    assert results == [detector.detect(image)] * 8


def test_ocr_is_there_or_says_what_to_install() -> None:
    try:
        import rapidocr_onnxruntime  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install rapidocr-onnxruntime"):
            make_detector("ocr")
        return
    image, plate = street_with_plate("JA12345", 320)
    (found,) = make_detector("ocr").detect(image)
    assert plate.x1 <= found.x1 < found.x2 <= plate.x2
    assert plate.y1 <= found.y1 < found.y2 <= plate.y2


def test_mistyped_detector_is_suggested() -> None:
    with pytest.raises(UserError, match="did you mean haar"):
        make_detector("harr")
    with pytest.raises(UserError, match=", ".join(DETECTORS)):
        make_detector("xyz")
