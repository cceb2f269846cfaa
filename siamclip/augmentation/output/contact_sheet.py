"""What was made of which photos, side by side on one picture: a row a pair, a column an image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from siamclip.augmentation.output.sheet_text import draw_text, wrapped
from siamclip.files.atomic import write_atomically

CELL = 128  # pixels
_GAP, _LINE, _HEADER, _CAPTION = 6, 14, 22, 20
_TEXT, _CAPTION_TEXT = 12, 12  # pixels
_BACK, _INK, _FAINT, _EMPTY, _REJECTED = (255, 255, 255), (36, 41, 47), (110, 119, 129), (234, 238, 242), (176, 24, 40)


@dataclass(frozen=True)
class SheetCell:
    """An image, or none; `rejected` says why it was not kept: it is then shown faded, with the reason over it."""

    image: np.ndarray | None  # uint8 (H, W, 3) RGB
    rejected: str = ""


@dataclass(frozen=True)
class SheetRow:
    """One pair: a cell for each column, and a line below them."""

    cells: Sequence[SheetCell]
    caption: str


def contact_sheet(rows: Sequence[SheetRow], columns: Sequence[str], file: Path) -> None:
    """Writes a PNG: `columns` as a header, then the rows; the caller cuts a long list.

    Cells are 128 pixels; whatever is larger or smaller is resized with Lanczos, for enlarged pixels would look like
    faults of the model. Chinese text needs no installed font; characters that no font has are shown as their
    escapes. Raises ValueError for no rows, or a row without a cell for each column.
    """
    if not rows or any(len(row.cells) != len(columns) for row in rows):
        raise ValueError(f"a contact sheet of {len(columns)} columns needs rows, each with as many cells")
    step = CELL + _GAP
    width, height = _GAP + len(columns) * step, _HEADER + len(rows) * (step + _CAPTION) + _GAP
    sheet = Image.new("RGB", (width, height), _BACK)
    draw = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        draw_text(draw, (_GAP + column * step, 5), name, _TEXT, _INK, CELL)
    for number, row in enumerate(rows):
        top = _HEADER + number * (step + _CAPTION)
        for column, cell in enumerate(row.cells):
            sheet.paste(_drawn(cell), (_GAP + column * step, top))
        draw_text(draw, (_GAP, top + CELL + 3), row.caption, _CAPTION_TEXT, _FAINT, width - 2 * _GAP)
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    write_atomically(file, content.getvalue())


def _drawn(cell: SheetCell) -> Image.Image:
    """128 x 128 pixels."""
    square = Image.new("RGB", (CELL, CELL), _EMPTY)
    if cell.image is not None:
        fitted = _fitted(Image.fromarray(cell.image))
        square.paste(fitted, ((CELL - fitted.width) // 2, (CELL - fitted.height) // 2))
    if cell.rejected or cell.image is None:
        if cell.image is not None:
            square = Image.blend(square.convert("L").convert("RGB"), Image.new("RGB", square.size, _BACK), 0.55)
        draw = ImageDraw.Draw(square)
        lines = wrapped(cell.rejected or "none", _TEXT, CELL - 8)[: CELL // _LINE]
        for number, line in enumerate(lines):
            y = (CELL - _LINE * len(lines)) // 2 + _LINE * number
            draw_text(draw, (4, y), line, _TEXT, _REJECTED if cell.rejected else _FAINT, CELL - 8)
    return square


def _fitted(image: Image.Image) -> Image.Image:
    longest = max(image.size)
    width, height = (max(1, round(side * CELL / longest)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
