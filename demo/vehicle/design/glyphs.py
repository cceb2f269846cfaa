"""A stroke font for number plates: twelve province characters, the digits and the Latin capitals.

System fonts differ from machine to machine, and the data set must not; so every glyph is a handful of
polylines. A point is two decimal digits, column then row from the top left; a stroke is points; "|" separates
strokes.
"""

from __future__ import annotations

from functools import cache

import numpy as np

# Latin glyphs stand on a grid of 5 columns by 9 rows, as the 45 x 90 mm letters of GA 36-2018 do.
_LATIN = {
    "0": "01 10 30 41 47 38 18 07 01",
    "1": "12 20 28",
    "2": "01 10 30 41 43 08 48",
    "3": "01 10 30 41 43 34 14|34 45 47 38 18 07",
    "4": "20 06 46|33 38",
    "5": "40 00 03 33 44 47 38 18 07",
    "6": "30 03 07 18 38 47 45 34 14 05",
    "7": "00 40 42 18",
    "8": "10 30 41 43 34 45 47 38 18 07 05 14 03 01 10|14 34",
    "9": "18 45 41 30 10 01 03 14 34 43",
    "A": "08 20 48|15 35",
    "B": "00 08 38 47 45 34 43 41 30 00|04 34",
    "C": "41 30 10 01 07 18 38 47",
    "D": "00 08 28 46 42 20 00",
    "E": "40 00 08 48|04 34",
    "F": "40 00 08|04 34",
    "G": "41 30 10 01 07 18 38 47 44 24",
    "H": "00 08|40 48|04 44",
    "I": "20 28|10 30|18 38",
    "J": "30 37 28 18 07",
    "K": "00 08|40 04|14 48",
    "L": "00 08 48",
    "M": "08 00 24 40 48",
    "N": "08 00 48 40",
    "O": "10 30 41 47 38 18 07 01 10|22 26",
    "P": "08 00 30 41 43 34 04",
    "Q": "01 10 30 41 46 37 17 06 01|25 48",
    "R": "08 00 30 41 43 34 04|24 48",
    "S": "41 30 10 01 03 14 34 45 47 38 18 07",
    "T": "00 40|20 28",
    "U": "00 07 18 38 47 40",
    "V": "00 28 40",
    "W": "00 18 23 38 40",
    "X": "00 48|40 08",
    "Y": "00 24 40|24 28",
    "Z": "00 40 08 48",
}

# Province characters stand on a grid of 10 by 10.
_PROVINCE = {
    "京": "40 51|02 92|24 74 76 26 24|46 49 38|27 09|67 99",
    "津": "01 12|03 14|09 26|41 81 84|32 92|44 84|46 86|38 98|60 69",
    "沪": "01 12|03 14|09 26|60 61|42 92 95 45|42 46 39",
    "苏": "01 91|30 33|60 63|14 74 78 69|44 46 09|16 07|86 97",
    "浙": "01 12|03 14|09 25|22 52|40 48 37|26 54|90 61 65 59|64 94|84 89",
    "皖": "20 11|02 42 48 08 02|05 45|70 71|53 52 92 93|64 84|55 95|66 59|86 89 99 98",
    "闽": "00 11|02 09|30 90 99 79|33 73 75 35 33|52 57|37 77",
    "鲁": "30 11|21 61 52|12 82 84 14 12|13 83|42 44|05 95|26 76 79 29 26|27 77",
    "粤": "50 41|11 81 85 15 11|23 73|51 55|34 25|64 75|06 96|36 37 77 79 59",
    "川": "10 16 09|51 57|90 99",
    "云": "11 81|04 94|44 18 78|66 99",
    "晋": "00 90|30 34|60 64|12 23|82 73|04 94|25 75 79 29 25|27 77",
}

PROVINCES = "".join(_PROVINCE)
# GA 36-2018 leaves I and O out of serials: they read as 1 and 0.
SERIAL_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS = "0123456789"


def is_province(character: str) -> bool:
    """Whether a character is one of `PROVINCES`, which are drawn with a thinner stroke than letters."""
    return character in _PROVINCE


@cache
def strokes(character: str) -> tuple[np.ndarray, ...]:
    """The polylines of one glyph, each float32 (points, 2) as (x, y) in [0, 1], y downwards.

    KeyError for a character that the font lacks.
    """
    text, columns, rows = (_PROVINCE[character], 9, 9) if character in _PROVINCE else (_LATIN[character], 4, 8)
    scale = np.array([columns, rows], np.float32)
    return tuple(
        np.array([[int(point[0]), int(point[1])] for point in stroke.split()], np.float32) / scale
        for stroke in text.split("|")
    )
