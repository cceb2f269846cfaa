"""The contact sheet of a fusion: two photos, and what each mode made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from siamclip.augmentation.contact_sheet import SheetCell, SheetRow, contact_sheet
from siamclip.augmentation.contracts import MadeImage, Pair
from siamclip.augmentation.fusion.noise_maps import Read
from siamclip.augmentation.fusion.run import stretched
from siamclip.augmentation.output_folder import OutputFolder
from siamclip.errors import printable
from siamclip.image import ImageError, decode


def write_sheet(output: OutputFolder, pairs: Sequence[Pair], modes: Sequence[str], read: Read, rows: int) -> bool:
    """`rows` of the pairs, from the most alike to the least, as OUTPUT/contact_sheet.png; False where nothing can be
    shown. `pairs`: most alike first. `read`: a photo's path -> its square and its size."""
    shown = _spread(pairs, rows)
    wanted = {(pair.first, pair.second) for pair in shown}
    made: dict[tuple[str, str], dict[str, MadeImage]] = {pair: {} for pair in wanted}
    for image in output.images():
        if (image.first, image.second) in wanted:
            made[image.first, image.second][image.method] = image
    sheet = [
        _row(pair, made[pair.first, pair.second], modes, read, output.path)
        for pair in shown
        if made[pair.first, pair.second]
    ]
    if not sheet:
        return False
    contact_sheet(sheet, ["first", "second", *modes], output.contact_sheet)
    return True


def _spread(pairs: Sequence[Pair], rows: int) -> list[Pair]:
    """`rows` of them, evenly from the first to the last."""
    if rows >= len(pairs):
        return list(pairs)
    return [pairs[i * (len(pairs) - 1) // max(1, rows - 1)] for i in range(rows)]


def _row(pair: Pair, made: Mapping[str, MadeImage], modes: Sequence[str], read: Read, folder: Path) -> SheetRow:
    cells = [_photo(pair.first, read), _photo(pair.second, read)]
    for mode in modes:
        image = made.get(mode)
        cells.append(SheetCell(None) if image is None else SheetCell(decode(folder / image.path), image.rejected))
    return SheetRow(cells, printable(f"{pair.similarity:.3f}  {pair.first}  +  {pair.second}"))


def _photo(path: str, read: Read) -> SheetCell:
    try:
        square, size = read(path)
    except ImageError:
        return SheetCell(None)  # gone since; its images are there
    return SheetCell(stretched(square, size))
