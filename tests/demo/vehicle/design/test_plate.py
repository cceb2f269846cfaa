"""Number plates: texts by the rules of each style, and faces that show them."""

from __future__ import annotations

import numpy as np
import pytest

from demo.vehicle.design.glyphs import DIGITS, PROVINCES, SERIAL_LETTERS
from demo.vehicle.design.plate import STYLES, Plate, draw_plate, sample_plate


@pytest.mark.parametrize("style", STYLES)
def test_texts_follow_the_rules_of_their_style(style: str) -> None:
    generator, taken = np.random.default_rng(0), set()
    for _ in range(200):
        text = sample_plate(generator, style, taken).text
        assert len(text) == (8 if style == "green" else 7)
        assert text[0] in PROVINCES and text[1] in SERIAL_LETTERS
        assert set(text[2:]) <= set(DIGITS + SERIAL_LETTERS)
        assert style != "green" or text[2] in "DF"
    assert len(taken) == 200


def test_a_text_in_use_is_not_given_again() -> None:
    first = sample_plate(np.random.default_rng(5), "blue", set())
    second = sample_plate(np.random.default_rng(5), "blue", {first.text})
    assert first.text != second.text


@pytest.mark.parametrize(("style", "text"), [("blue", "京A12345"), ("green", "沪AD12345"), ("yellow", "粤B6789Q")])
def test_the_face_shows_background_and_ink(style: str, text: str) -> None:
    face = draw_plate(Plate(text, style)).astype(int)
    kind = STYLES[style]
    assert face.shape == (56, round(kind.width_mm * 0.4), 3)
    # A tenth of the height from the edges, of a gradient that spans at most 180 grey levels.
    assert abs(face[4, 4] - kind.top).max() < 20 and abs(face[-5, 4] - kind.bottom).max() < 20
    ink = (abs(face - kind.ink).max(-1) < 30).mean()
    assert 0.1 < ink < 0.45


def test_one_changed_character_changes_only_its_cell() -> None:
    difference = draw_plate(Plate("京A12345", "blue")) != draw_plate(Plate("京A12347", "blue"))
    columns = np.flatnonzero(difference.any((0, 2)))
    assert len(columns) > 5 and columns.min() > 0.8 * difference.shape[1]
