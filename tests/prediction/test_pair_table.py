"""CSVs of pairs as people's spreadsheets write them, and files that are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.errors import ImageError, UserError
from siamclip.prediction.pair_table import PairTable


def table(folder: Path, content: bytes) -> PairTable:
    path = folder / "pairs.csv"
    path.write_bytes(content)
    return PairTable(path)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_rows_and_other_columns_are_kept(mark: bytes, line_end: bytes, tmp_path: Path) -> None:
    lines = ["注释, img2 ,img1", '甲,"b, c.jpg",京A1/a.jpg', "", "乙,/x/b.jpg,a.jpg", ""]
    read = table(tmp_path, mark + line_end.join(line.encode() for line in lines))
    assert read.columns == ["注释", "img2", "img1"]
    assert read.total == 2
    first, second = read.rows()
    assert first == {"注释": "甲", "img2": "b, c.jpg", "img1": "京A1/a.jpg"}
    assert read.photos(first) == (tmp_path / "京A1/a.jpg", tmp_path / "b, c.jpg")
    assert read.photos(second) == (tmp_path / "a.jpg", Path("/x/b.jpg"))


def test_a_row_that_does_not_name_two_photos_is_an_error_of_its_own(tmp_path: Path) -> None:
    read = table(tmp_path, b"img1,img2\na.jpg\n ,b.jpg\na.jpg,b.jpg\n")
    short, blank, whole = (read.photos(row) for row in read.rows())
    assert isinstance(short, ImageError)
    assert short.reason == "img2 is empty"
    assert isinstance(blank, ImageError)
    assert blank.reason == "img1 is empty"
    assert whole == (tmp_path / "a.jpg", tmp_path / "b.jpg")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no column img1 and img2"),
        (b"a,b\n1,2\n", "has no column img1 and img2 but a, b"),
        (b"img1;img2\na;b\n", "has no column"),
        (b"img1,img2\n", "holds no pair"),
        (b"img1,img2\n\n\n", "holds no pair"),
        ("img1,img2\n京.jpg,b.jpg\n".encode("gbk"), r"is not UTF-8 \(byte 10\)"),
        (b'img1,img2\n"a.jpg,b.jpg\n', "not a valid CSV"),
        (b"\xff\xd8\xff\xe0", "not UTF-8"),
    ],
)
def test_what_is_no_table_of_pairs_is_refused_before_any_work(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=says):
        table(tmp_path, content)


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            PairTable(path)
