"""Text on pictures in whatever script it is: each character in the first font that has it, never a box."""

from __future__ import annotations

from itertools import groupby

from PIL import ImageDraw, ImageFont

from siamclip.errors import printable
from siamclip.plotting.fonts import face_of, pillow_font

_DOTS = "..."


def draw_text(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, color: tuple[int, int, int], width: int
) -> None:
    """One line with its upper left corner at `place`, cut with dots to `width` pixels. `size`: of the font, pixels."""
    text = drawable_text(text)
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
    return sum(font.getlength(part) for font, part in _runs(drawable_text(text), size))


def wrapped(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces and underscores; a longer word is `draw_text`'s to cut."""
    lines = [""]
    for word in drawable_text(text).replace("_", " ").split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def drawable_text(text: str) -> str:
    r"""The text as one line; what is not printable or in no font is escaped, as in \ue123."""
    return "".join(c if face_of(c) else c.encode("unicode_escape").decode("ascii") for c in printable(text))


def _runs(text: str, size: int) -> list[tuple[ImageFont.FreeTypeFont, str]]:
    """The text in pieces of one font each."""

    pieces = []
    for face, part in groupby(text, face_of):
        assert face is not None, "text that is drawn has been through `drawable_text`"
        pieces.append((pillow_font(face, size), "".join(part)))
    return pieces
