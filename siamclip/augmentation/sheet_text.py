"""Text on pictures in whatever script it is: each character in the first installed font that has it, never a box."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

from PIL import ImageDraw, ImageFont

from siamclip.errors import printable
from siamclip.plots import fonts

_DOTS = "..."


def draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, color: tuple[int, int, int], width: int
) -> None:
    """One line with its upper left corner at `place`, cut with dots to `width` pixels. `size`: of the font, pixels."""
    text = shown(text)
    if text_width(text, size) > width:
        while text and text_width(text + _DOTS, size) > width:
            text = text[:-1]
        text += _DOTS
    x, y = float(place[0]), place[1]
    for font, part in _runs(text, size):
        # On one baseline: fonts differ in what they leave above it.
        draw.text((x, y + size), part, fill=color, font=font, anchor="ls")
        x += font.getlength(part)


def text_width(text: str, size: int) -> float:
    """Pixels that `draw_text` takes for it."""
    return sum(font.getlength(part) for font, part in _runs(shown(text), size))


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces and underscores; a longer word is `draw_text`'s to cut."""
    lines = [""]
    for word in shown(text).replace("_", " ").split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def shown(text: str) -> str:
    r"""The text as one line; what is not printable or in no installed font is escaped, as in \u4eac."""
    known = [characters for characters, _, _ in _faces()]
    return "".join(
        c if any(ord(c) in characters for characters in known) else c.encode("unicode_escape").decode("ascii")
        for c in printable(text)
    )


def _runs(text: str, size: int) -> list[tuple[ImageFont.FreeTypeFont, str]]:
    """The text in pieces of one font each."""

    def face(character: str) -> int:
        return next(k for k, (characters, _, _) in enumerate(_faces()) if ord(character) in characters)

    return [(_font(k, size), "".join(part)) for k, part in groupby(text, face)]


@lru_cache
def _faces() -> list[tuple[frozenset[int], str, int]]:
    """Characters, file and number in the file of each family that plots write with; DejaVu comes with matplotlib."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    faces = []
    for family in fonts():
        path = findfont(FontProperties(family=[family]))
        faces.append((frozenset(get_font(path).get_charmap()), str(path), int(getattr(path, "face_index", 0))))
    return faces


@lru_cache
def _font(face: int, size: int) -> ImageFont.FreeTypeFont:
    _, path, index = _faces()[face]
    return ImageFont.truetype(path, size, index=index)
