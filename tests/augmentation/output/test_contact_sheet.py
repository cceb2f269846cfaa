"""Contact sheets: every image in its place, rejected ones faded with their reason, text in any script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from siamclip.augmentation.output import sheet_text
from siamclip.augmentation.output.contact_sheet import CELL, SheetCell, SheetRow, contact_sheet
from siamclip.augmentation.output.sheet_text import draw_text, drawable_text, text_width, wrapped
from siamclip.plotting import fonts
from siamclip.plotting.fonts import Face

COLOURS = [(200, 30, 30), (30, 160, 30), (30, 30, 200), (200, 180, 20), (150, 40, 160), (20, 150, 160)]
GAP, HEADER, CAPTION = 6, 22, 20


def as_json_values(colour: tuple[int, int, int], width: int = 64, height: int = 64) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def sheet_of(rows: list[SheetRow], columns: list[str], folder: Path) -> np.ndarray:
    contact_sheet(rows, columns, folder / "sheet.png")
    assert [file.name for file in folder.iterdir()] == ["sheet.png"]
    return np.asarray(Image.open(folder / "sheet.png"))


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top, left = HEADER + row * (CELL + GAP + CAPTION), GAP + column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


@pytest.mark.parametrize("side", [1, 64, 100, 128, 300])
def test_every_image_fills_its_cell(side: int, tmp_path: Path) -> None:
    rows = [
        SheetRow([SheetCell(as_json_values(colour, side, side)) for colour in COLOURS[r:] + COLOURS[:r]], f"row {r}")
        for r in range(3)
    ]
    sheet = sheet_of(rows, list("abcdef"), tmp_path)
    assert sheet.shape == (HEADER + 3 * (CELL + GAP + CAPTION) + GAP, GAP + 6 * (CELL + GAP), 3)
    for r in range(3):
        for c in range(6):
            assert (cell(sheet, r, c) == COLOURS[(r + c) % 6]).all()


def test_other_shapes_keep_their_proportions(tmp_path: Path) -> None:
    sheet = sheet_of([SheetRow([SheetCell(as_json_values(COLOURS[0], 300, 150))], "")], ["first"], tmp_path)
    is_red = (cell(sheet, 0, 0) == COLOURS[0]).all(axis=-1)
    assert is_red[32:96].all()
    assert not is_red[:32].any()
    assert not is_red[96:].any()


def test_a_rejected_image_is_grey_and_carries_its_reason(tmp_path: Path) -> None:
    image = as_json_values(COLOURS[0])
    cells = [SheetCell(image), SheetCell(image, "far_from_first"), SheetCell(None), SheetCell(None, "blurred")]
    sheet = sheet_of([SheetRow(cells, "")], ["a", "b", "c", "d"], tmp_path).astype(int)
    kept, rejected, missing, missing_rejected = (cell(sheet, 0, c) for c in range(4))
    assert (kept == COLOURS[0]).all()
    corner = rejected[5, 5]
    assert corner.max() - corner.min() == 0  # grey, and lighter than the image
    assert corner.mean() > np.mean(COLOURS[0])
    for part in (rejected, missing_rejected):
        assert (part[..., 0] - part[..., 2] > 60).sum() > 30  # red letters
    assert 30 < (missing.mean(axis=-1) < 160).sum() < 800  # "none"


def test_captions_and_names_are_written_where_they_belong(tmp_path: Path) -> None:
    rows = [SheetRow([SheetCell(None)] * 2, "京A12345  similarity 0.912"), SheetRow([SheetCell(None)] * 2, "")]
    sheet = sheet_of(rows, ["first", ""], tmp_path)
    ink = sheet.mean(axis=-1) < 180
    below_first = HEADER + CELL
    assert ink[:HEADER, : CELL + GAP].sum() > 20
    assert ink[:HEADER, CELL + 2 * GAP :].sum() == 0
    assert ink[below_first : below_first + CAPTION + GAP].sum() > 100
    assert ink[below_first + CELL + CAPTION + GAP :].sum() == 0


def test_rows_that_do_not_fit_are_a_defect_of_the_caller(tmp_path: Path) -> None:
    for rows in ([], [SheetRow([SheetCell(None)], "")]):
        with pytest.raises(ValueError, match="2 columns"):
            contact_sheet(rows, ["a", "b"], tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


# -- text -----------------------------------------------------------------------------------------------------------


def written(text: str, width: int = 400) -> np.ndarray:
    image = Image.new("L", (420, 24), 255)
    rgb = image.convert("RGB")
    draw_text(ImageDraw.Draw(rgb), (2, 2), text, 12, (0, 0, 0), width)
    return np.asarray(rgb.convert("L"))


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_chinese_plates_are_drawn_and_differ() -> None:
    plates = ["皖A5577W", "京A12345", "沪A12345", "粤B98765", "闽B0914D~clone", "粤Z1234港"]
    assert [drawable_text(plate) for plate in plates] == plates
    pictures = [written(plate) for plate in plates]
    assert len({picture.tobytes() for picture in pictures}) == len(plates)
    # None of the provinces is the box that a font draws for what it lacks.
    for plate in plates:
        ((font, character),) = sheet_text._runs(plate[0], 12)
        box = font.getmask("\ue123")
        assert bytes(font.getmask(character)) != bytes(box)


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_a_sheet_of_a_chinese_plate_is_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sheet() -> bytes:
        contact_sheet([SheetRow([SheetCell(None)], "皖A5577W + 京A12345")], ["第一张"], tmp_path / "sheet.png")
        return (tmp_path / "sheet.png").read_bytes()

    plain_machine = sheet()
    installed = Face(str(fonts.FONT_FILE), 0, frozenset(range(0x110000)))
    monkeypatch.setattr(fonts, "_installed_faces", lambda: [installed])
    assert sheet() == plain_machine
    monkeypatch.setattr(fonts, "_own_faces", lambda: [])  # and its text does come from the fonts named there
    assert sheet() != plain_machine


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_what_no_font_has_is_written_as_its_escape() -> None:
    assert drawable_text("\ue123A12345") == "\\ue123A12345"
    assert drawable_text("龘") == "\\u9f98"  # not among the common characters
    assert (written("龘A1") == written("\\u9f98A1")).all()


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[31m", "\udcff\udc80", "\U0010ffff", "", "a/b.jpg + \u202e"])
def test_hostile_names_are_one_harmless_line(text: str) -> None:
    line = drawable_text(text)
    assert line.isprintable()
    assert drawable_text(line) == line
    written(text)


def test_long_text_is_cut_to_its_width() -> None:
    picture = written("wide " * 60, width=100)
    assert (picture < 128).any(axis=0).nonzero()[0].max() <= 102
    whole = written("short", width=100)
    assert (whole == written("short", width=400)).all()


def test_lines_are_broken_at_spaces_and_underscores() -> None:
    assert wrapped("far_from_first", 12, 400) == ["far from first"]
    lines = wrapped("similarity to the first photo 0.066 < 0.7", 12, 120)
    assert len(lines) > 1
    assert all(text_width(line, 12) <= 120 for line in lines)
    assert " ".join(lines) == "similarity to the first photo 0.066 < 0.7"
