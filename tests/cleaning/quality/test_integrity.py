from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.contracts import Findings, PhotoTable
from siamclip.cleaning.decoded import Decoded
from siamclip.cleaning.method_table import SCORERS
from siamclip.cleaning.quality import integrity
from siamclip.data.image.decode import content_hash, decode_with_header
from siamclip.errors import ImageError
from tests.cleaning.gray_photos import photos
from tests.hostile import READABLE, UNREADABLE, encoded, smooth_rgb, with_orientation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


def table_of(files: dict[str, bytes]) -> PhotoTable:
    """The collection that a scan of these files would give."""
    described = [integrity.describe(Decoded(*decode_with_header(data))) for data in files.values()]
    columns = {name: np.array([row[name] for row in described]) for name in SCORERS["file"].columns}
    return photos(columns, paths=list(files))


def test_the_scorer_gives_its_columns() -> None:
    row = integrity.describe(Decoded(*decode_with_header(encoded(smooth_rgb(), "PNG"))))
    assert row.keys() == SCORERS["file"].columns.keys()


KINDS = {
    "corrupt PNG": "damaged",
    "truncated JPEG": "truncated",
    "truncated PNG": "truncated",
    "truncated WebP": "damaged",
    "truncated GIF": "truncated",
    "truncated BMP": "truncated",
    "truncated TIFF": "truncated",
    "header only": "damaged",
    "zero bytes": "empty",
    "text named .jpg": "not an image",
    "PostScript named .jpg": "not an image",
    "lying header, 50,000 x 50,000": "too large",
    "true 50,000 x 50,000": "too large",
    "directory": "cannot be opened",
    "vanished": "cannot be opened",
    "symlink loop": "cannot be opened",
}


def test_unreadable_files_are_told_apart(tmp_path: Path) -> None:
    errors, contents = [], []
    for make in UNREADABLE.values():
        path = make(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ImageError) as caught:
                decode_with_header(path)
        errors.append(caught.value.reason)
        try:
            contents.append(content_hash(path).encode())
        except ImageError:
            contents.append(b"")
    errors.append("")
    table = photos({}, paths=[*UNREADABLE, "good.jpg"], errors=dict(enumerate(errors)))
    table.content = np.array([*contents, b"0" * 32], "S32")
    found = integrity.unreadable(table)
    assert found.rows.tolist() == list(range(len(UNREADABLE)))
    kinds = {name: reason.split(":")[0] for name, reason in zip(UNREADABLE, found.reason, strict=True)}
    assert kinds == KINDS
    assert all(reason.endswith(error) for reason, error in zip(found.reason, errors[:-1], strict=True))
    kept = {name for name, keep in zip(UNREADABLE, found.keep, strict=True) if keep}
    assert kept == {name for name, kind in KINDS.items() if kind in ("too large", "cannot be opened")}


def test_wrong_extension() -> None:
    photo, png = encoded(smooth_rgb(), "JPEG"), encoded(smooth_rgb(), "PNG")
    files = {"a.jpg": photo, "a.JPEG": photo, "b.JpG": png, "c.png": png, "d/e.f/g.png": photo, "h.jfif": photo}
    found = integrity.wrong_extension(table_of(files))
    assert found.rows.tolist() == [2, 4] and found.keep.all() and found.flagged.all()
    assert found.reason == ["a PNG file named .jpg", "a JPEG file named .png"]


def test_every_suffix_belongs_to_one_format() -> None:
    from siamclip.data.image.decode import IMAGE_EXTENSIONS

    suffixes = [suffix for suffixes in integrity.SUFFIXES.values() for suffix in suffixes]
    assert sorted(suffixes) == sorted(IMAGE_EXTENSIONS)


def test_readable_oddities(tmp_path: Path) -> None:
    files = {}
    for name, make in READABLE.items():
        path = make(tmp_path)
        files[name + path.suffix] = path.read_bytes()
    table = table_of(files)

    def names(found: Findings) -> set[str]:
        assert found.keep.all() and found.flagged.all() and all(found.reason)
        return {Path(table.paths[row]).stem for row in found.rows}

    assert names(integrity.animated(table)) == {"animated GIF", "animated WebP", "animated PNG"}
    assert names(integrity.alpha(table)) == {"alpha PNG", "gray alpha PNG"}
    assert names(integrity.orientation(table)) == {"rotated JPEG"}
    assert names(integrity.colour_space(table)) == {
        "CMYK JPEG", "gray JPEG", "16-bit gray PNG", "16-bit gray TIFF", "16-bit big-endian TIFF", "16-bit RGB PNG",
        "float TIFF", "LAB TIFF", "palette PNG", "bilevel PNG", "gray alpha PNG", "animated GIF",
    }  # fmt: skip
    assert names(integrity.wrong_extension(table)) == set()


def test_colour_spaces_in_words() -> None:
    files = {
        "a.jpg": encoded(Image.new("CMYK", (4, 4)), "JPEG", icc_profile=b"a profile"),
        "b.png": encoded(np.zeros((4, 4), np.uint16), "PNG"),
        "c.jpg": encoded(Image.new("L", (4, 4)), "JPEG"),
    }
    assert integrity.colour_space(table_of(files)).reason == [
        "colour space: CMYK, with an embedded profile that is ignored, read as RGB of 8 bits",
        "colour space: grey of 16 bits a sample, read as RGB of 8 bits",
        "colour space: grey, read as RGB of 8 bits",
    ]


def test_orientation_in_words() -> None:
    files = {f"{flag}.jpg": with_orientation(flag) for flag in range(1, 9)}
    found = integrity.orientation(table_of(files))
    assert found.score.tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert found.reason[4] == "orientation flag 6: upright after a turn by 90 degrees clockwise"


@pytest.mark.parametrize("method", ["wrong_extension", "animated", "alpha", "colour_space", "orientation"])
def test_unreadable_and_archived_rows_are_left_alone(method: str) -> None:
    odd = {
        "format": "PNG", "mode": "CMYK", "width": 9, "height": 9, "frames": 3, "orientation": 6, "has_alpha": True,
        "has_profile": True, "bits": 16,
    }  # fmt: skip
    columns = {name: np.array([value] * 3) for name, value in odd.items()}
    table = photos(columns, errors={0: "the file is empty"}, archived=[1])
    assert getattr(integrity, method)(table).rows.tolist() == [2]
    assert integrity.unreadable(photos(columns, errors={1: "the file is empty"}, archived=[1])).rows.tolist() == []
