"""The stroke font: complete, inside its cell, and no two glyphs alike."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest

from demo.vehicle.design.glyphs import DIGITS, PROVINCES, SERIAL_LETTERS, is_province, strokes

CHARACTERS = PROVINCES + SERIAL_LETTERS + DIGITS


def drawn(character: str) -> np.ndarray:
    """A glyph on a cell of 24 x 48 pixels: about what the largest plates of a picture show, times two."""
    cell = np.zeros((48, 24), np.uint8)
    for line in strokes(character):
        cv2.polylines(cell, [np.round(3 + line * [17, 41]).astype(np.int32)], False, 255, 3)
    return cell > 0


@pytest.mark.parametrize("character", CHARACTERS)
def test_strokes_lie_in_the_cell_and_fill_its_height(character: str) -> None:
    points = np.concatenate(strokes(character))
    assert points.min() >= 0 and points.max() <= 1
    assert np.ptp(points[:, 1]) > 0.7


def test_no_two_glyphs_look_alike() -> None:
    pictures = {character: drawn(character) for character in CHARACTERS}
    for a, b in itertools.combinations(CHARACTERS, 2):
        overlap = (pictures[a] & pictures[b]).sum() / (pictures[a] | pictures[b]).sum()
        assert overlap < 0.9, (a, b)


def test_letters_that_read_as_digits_are_not_used() -> None:
    assert not set("IO") & set(SERIAL_LETTERS)


def test_provinces_are_told_from_letters() -> None:
    assert len(PROVINCES) == len(set(PROVINCES)) >= 10
    assert all(is_province(character) for character in PROVINCES)
    assert not any(is_province(character) for character in SERIAL_LETTERS + DIGITS)


def test_a_character_without_a_glyph_is_an_error() -> None:
    with pytest.raises(KeyError):
        strokes("é")
