from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.data.image.decode import decode_with_size
from siamclip.data.image.plate_masking import (
    DETECTORS,
    FILLS,
    Box,
    box_key,
    make_detector,
    mask,
    masked_reader,
    read_boxes,
)
from siamclip.data.image.preprocess import Preprocessing
from siamclip.errors import UserError
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


# -- what training reads ---------------------------------------------------------------------------------------------

WHOLE_PLATE = Box(1000, 1500, 1400, 1600)


def white_plate_photos(folder: Path, number: int) -> list[Path]:
    """Black JPEGs of 2400 x 2000 with a white plate, large enough to be decoded at a reduced scale."""
    image = np.zeros((2000, 2400, 3), np.uint8)
    image[1510:1590, 1010:1390] = 255
    content = encoded(image, "JPEG")
    paths = [folder / "京A12345" / f"{i}.jpg" for i in range(number)]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return paths


def boxes_csv(folder: Path, paths: list[Path]) -> str:
    lines = [f"{path.relative_to(folder)},{','.join(map(str, WHOLE_PLATE))}\n" for path in paths]
    (folder / "boxes.csv").write_text("path,x1,y1,x2,y2\n" + "".join(lines), encoding="utf-8")
    return str(folder / "boxes.csv")


def test_a_reader_without_boxes_and_detector_loads_the_photo(tmp_path: Path) -> None:
    (path,) = white_plate_photos(tmp_path, 1)
    preprocessing = Preprocessing(size=64)
    read = masked_reader(preprocessing, tmp_path, None, "none", 1.0, 0)
    np.testing.assert_array_equal(read(path, 0), preprocessing.load(path))


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("geometry", ["squash", "pad", "crop"])
def test_a_reader_hides_the_boxes_of_a_photo_at_any_scale(reduced: bool, geometry: str, tmp_path: Path) -> None:
    masked, plain = white_plate_photos(tmp_path, 2)
    preprocessing = Preprocessing(size=64, geometry=geometry, reduced_decode=reduced)  # type: ignore[arg-type]
    read = masked_reader(preprocessing, tmp_path, boxes_csv(tmp_path, [masked]), "none", 1.0, 0)
    hidden, shown = read(masked, 0), preprocessing.load(masked)
    assert hidden.shape == (64, 64, 3) and hidden.dtype == np.uint8
    assert (shown.astype(int) - hidden).max() > 100
    if geometry != "pad":  # whose border is gray
        assert hidden.max() < 40
    np.testing.assert_array_equal(read(plain, 1), preprocessing.load(plain))  # it has no box


def test_a_reader_hides_the_share_asked_for_and_the_same_photos_each_time(tmp_path: Path) -> None:
    (path,) = white_plate_photos(tmp_path, 1)
    preprocessing = Preprocessing(size=16)
    table = boxes_csv(tmp_path, [path])

    def hidden(probability: float, seed: int, number: int) -> list[bool]:
        read = masked_reader(preprocessing, tmp_path, table, "none", probability, seed)
        return [bool(read(path, index).max() < 30) for index in range(number)]

    assert hidden(0.0, 0, 5) == [False] * 5
    assert hidden(1.0, 0, 5) == [True] * 5
    half = hidden(0.5, 0, 60)
    assert 15 < sum(half) < 45  # four standard deviations
    assert hidden(0.5, 0, 60) == half  # in every epoch, so that photos can be cached
    assert hidden(0.5, 1, 60) != half


def test_a_reader_hides_what_its_detector_finds(tmp_path: Path) -> None:
    image, plate = street_with_plate("K407MM199", 240)
    path = tmp_path / "street.png"
    path.write_bytes(encoded(image, "PNG"))
    preprocessing = Preprocessing(size=480)
    hidden = masked_reader(preprocessing, tmp_path, None, "haar", 1.0, 0)(path, 0)
    shown = preprocessing.load(path)
    # 640 x 480 squashed to 480 x 480
    inner = (slice(int(plate.y1) + 4, int(plate.y2) - 4), slice(int(plate.x1 * 0.75) + 4, int(plate.x2 * 0.75) - 4))
    assert shown[inner].max() > 200
    assert hidden[inner].max() < 200
    np.testing.assert_array_equal(hidden[:200], shown[:200])


def test_a_reader_needs_a_table_and_a_detector_that_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        masked_reader(Preprocessing(), tmp_path, str(tmp_path / "none.csv"), "none", 1.0, 0)
    with pytest.raises(UserError, match="did you mean haar"):
        masked_reader(Preprocessing(), tmp_path, None, "harr", 1.0, 0)
