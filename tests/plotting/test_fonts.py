"""The shipped font: that it has what plates need, is licensed, and that no text needs an installed one for it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import Image

from siamclip.plotting import fonts

PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"  # the 31 of GA 36-2018
SPECIAL = "使领警学港澳台挂试超临电民航应急军"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
MARKS = "·•・-~～_()（）、。，：；「」【】 "
FOLDER = fonts.FONT_FILE.parent


def test_every_character_of_a_plate_has_ink_in_the_shipped_font() -> None:
    assert len(set(PROVINCES)) == 31
    (face,) = (face for face in fonts._own_faces() if face.file == str(fonts.FONT_FILE))
    font = fonts.pillow_font(face, 24)
    pictures = {}
    for character in dict.fromkeys(PROVINCES + SPECIAL + LATIN + MARKS):
        assert ord(character) in face.characters, character
        pictures[character] = bytes(font.getmask(character))
    assert [character for character, picture in pictures.items() if not any(picture)] == [" "]
    hanzi = [pictures[character] for character in PROVINCES + SPECIAL]
    assert len(set(hanzi)) == len(hanzi)  # none is the box of a missing glyph


def test_the_font_has_what_its_list_of_characters_says() -> None:
    listed = set((FOLDER / "characters.txt").read_text("utf-8")) - {"\n"}
    listed |= {chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x100))}
    assert {chr(code) for code in FT2Font(str(fonts.FONT_FILE)).get_charmap()} == listed
    common = b"".join(bytes((row, cell)) for row in range(0xB0, 0xD7) for cell in range(0xA1, 0xFF))  # of level 1
    assert set(common.decode("gb2312")) < listed


def test_the_licence_is_beside_the_font_and_allows_its_name() -> None:
    licence = (FOLDER / "OFL.txt").read_text("utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1 - 26 February 2007" in licence
    assert "Copyright 2014-2021 Adobe" in licence
    names = {
        number: text.decode("utf-16-be") for (*_, number), text in FT2Font(str(fonts.FONT_FILE)).get_sfnt().items()
    }
    assert "Adobe" in names[0] and "SIL Open Font License, Version 1.1" in names[13]
    assert names[1] == names[4] == fonts.CHINESE
    for number in (1, 3, 4, 6):
        assert "noto" not in names[number].lower() and "source" not in names[number].lower(), "not ours to use"


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_chinese_needs_no_installed_font() -> None:
    assert fonts.families() == [fonts.LATIN, fonts.CHINESE]
    for character in PROVINCES + SPECIAL:
        face = fonts.face_of(character)
        assert face is not None and face.file == str(fonts.FONT_FILE)
    assert fonts.face_of("\ue123") is None  # of the private use area
    assert fonts.drawable("皖A5577W\n停车场 \ue123") == "皖A5577W 停车场 ?"


def test_the_shipped_font_comes_before_installed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = fonts.Face("installed.ttf", 0, frozenset(range(0x110000)))
    monkeypatch.setattr(fonts, "_installed_faces", lambda: [everything])
    assert [fonts.face_of(c) is everything for c in "A皖\ue123"] == [False, False, True]
    monkeypatch.setattr(fonts, "_installed", lambda: ["SimHei"])
    assert fonts.families() == [fonts.LATIN, fonts.CHINESE, "SimHei"]


@pytest.mark.usefixtures("no_chinese_font_installed")
def test_any_text_of_a_figure_can_be_chinese(tmp_path: Path) -> None:
    pictures = []
    for plate in ("皖A5577W", "京A5577W"):
        figure = Figure(figsize=(4, 3))
        axes = figure.subplots()
        axes.plot([0, 1], label=f"{plate} 同一辆")
        axes.set(title=plate, xlabel="距离", ylabel="占比")
        axes.legend()
        fonts.set_fonts(figure)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a missing glyph is a warning of matplotlib
            figure.savefig(tmp_path / "plot.png")
        pictures.append(np.asarray(Image.open(tmp_path / "plot.png")))
    assert (pictures[0] != pictures[1]).any()


def test_matplotlib_may_forget_the_font() -> None:
    from matplotlib.font_manager import fontManager

    fonts.families()
    fontManager.ttflist = [font for font in fontManager.ttflist if font.name != fonts.CHINESE]
    fonts.families()
    fonts.families()
    assert [font.fname for font in fontManager.ttflist if font.name == fonts.CHINESE] == [str(fonts.FONT_FILE)]


def test_nothing_is_loaded_before_something_is_drawn() -> None:
    code = (
        "import sys, siamclip.plotting.fonts\n"
        "assert not {'matplotlib', 'PIL', 'numpy'} & sys.modules.keys()\n"
        "assert siamclip.plotting.fonts.face_of('皖')\n"
        "assert 'matplotlib.font_manager' not in sys.modules"  # which would list all installed fonts
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
