"""The fonts of every picture and plot: DejaVu Sans, which matplotlib brings along, and a shipped one for Chinese.

With these two the same text gives the same picture on every machine. Only a character that neither has is looked for
in the Chinese fonts that are installed.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import ImageFont

LATIN, CHINESE = "DejaVu Sans", "Siamclip Plate Sans"
FONT_FILE = Path(__file__).parent / "fonts" / "SiamclipPlateSans-Regular.otf"
# Present on most Linux, macOS and Windows machines; those that are not installed are passed over.
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Noto Serif CJK SC",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "PingFang HK",
    "Heiti TC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
)


class Face(NamedTuple):
    """A font: its file, its number within the file (0 but for collections), and the code points that it can draw."""

    file: str
    number: int
    characters: frozenset[int]


def face_of(character: str) -> Face | None:
    """The first font that has the character, None if none has it. Installed fonts are searched only if need be."""
    for faces in (_own_faces, _installed_faces):
        for face in faces():
            if ord(character) in face.characters:
                return face
    return None


def drawable(text: str) -> str:
    """The text with "?" in place of each character that no font has; line breaks become spaces."""
    return "".join(c if face_of(c) else "?" for c in " ".join(text.splitlines()))


@lru_cache
def pillow_font(face: Face, size: int) -> ImageFont.FreeTypeFont:
    """The font for Pillow; `size` in pixels."""
    from PIL import ImageFont

    return ImageFont.truetype(face.file, size, index=face.number)


def families() -> list[str]:
    """Names of the fonts for matplotlib, in the order in which they are asked for a character."""
    from matplotlib.font_manager import fontManager

    # Asked each time: matplotlib forgets an added font when it reads the list of installed ones anew.
    if not any(font.name == CHINESE for font in fontManager.ttflist):
        fontManager.addfont(FONT_FILE)
    return [LATIN, CHINESE, *_installed()]


def set_fonts(figure: Figure) -> None:
    """Lets each text of the figure be Chinese; call it when all of them are there."""
    from matplotlib.text import Text

    names = families()
    for text in figure.findobj(Text):
        text.set_fontfamily(names)


@lru_cache
def _own_faces() -> list[Face]:
    import matplotlib
    from matplotlib.ft2font import FT2Font  # not font_manager, which may take seconds to list what is installed

    latin = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    return [Face(str(file), 0, frozenset(FT2Font(str(file)).get_charmap())) for file in (latin, FONT_FILE)]


@lru_cache
def _installed_faces() -> list[Face]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    files = [findfont(FontProperties(family=[name])) for name in _installed()]
    # matplotlib 3.11 returns a str that knows which font of a collection is meant, 3.10 only the first one of it.
    return [
        Face(str(file), int(getattr(file, "face_index", 0)), frozenset(get_font(file).get_charmap())) for file in files
    ]


@lru_cache
def _installed() -> list[str]:
    """Those of CJK_FONTS that are installed."""
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist}
    return [name for name in CJK_FONTS if name in names]
