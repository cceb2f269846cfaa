"""The contact sheet of a fusion: two photos, and what each mode made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from siamclip.augmentation.contracts import FusionPair, MadeImage
from siamclip.augmentation.output.contact_sheet import CELL, SheetCell, SheetRow, contact_sheet
from siamclip.augmentation.output.folder import OutputFolder
from siamclip.data.image.decode import decode
from siamclip.errors import ImageError, printable


def write_sheet(output: OutputFolder, root: Path, pairs: Sequence[FusionPair], modes: Sequence[str], rows: int) -> bool:
    """`rows` of the pairs, from the most alike to the least, as OUTPUT/contact_sheet.png; False where nothing can be
    shown. `root`: of the photos; `pairs`: most alike first."""
    shown = _spread(pairs, rows)
    wanted = {(pair.first, pair.second) for pair in shown}
    made: dict[tuple[str, str], dict[str, MadeImage]] = {pair: {} for pair in wanted}
    for image in output.images():
        if (image.first, image.second) in wanted:
            made[image.first, image.second][image.method] = image
    sheet = [
        _row(pair, made[pair.first, pair.second], modes, root, output.path)
        for pair in shown
        if made[pair.first, pair.second]
    ]
    if not sheet:
        return False
    contact_sheet(sheet, ["first", "second", *modes], output.contact_sheet)
    return True


def _spread(pairs: Sequence[FusionPair], rows: int) -> list[FusionPair]:
    """`rows` of them, evenly from the first to the last."""
    if rows >= len(pairs):
        return list(pairs)
    return [pairs[i * (len(pairs) - 1) // max(1, rows - 1)] for i in range(rows)]


def _row(pair: FusionPair, made: Mapping[str, MadeImage], modes: Sequence[str], root: Path, folder: Path) -> SheetRow:
    cells = [_photo(root / path) for path in (pair.first, pair.second)]
    for mode in modes:
        image = made.get(mode)
        cells.append(SheetCell(None) if image is None else SheetCell(decode(folder / image.path), image.rejected))
    return SheetRow(cells, printable(f"{pair.similarity:.3f}  {pair.first}  +  {pair.second}"))


def _photo(file: Path) -> SheetCell:
    try:
        return SheetCell(decode(file, CELL))
    except ImageError:
        return SheetCell(None)  # gone since; its images are there
