"""Judgements that are remembered by content."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.duplicates.groups.not_duplicates import (
    among,
    by_content,
    read_not_duplicates,
    remember_not_duplicates,
    write_not_duplicates,
)
from siamclip.errors import UserError
from tests.cleaning.photo_tables import photos_of

A, B, C = (digit * 32 for digit in "abc")


@given(st.lists(st.sampled_from(["", A, B, C, "0" * 32]), min_size=2, max_size=7), st.data())
def test_pairs_are_found_by_content_in_either_order(content: list[str], data: st.DataObject) -> None:
    photos = photos_of(*(f"A/{i}.jpg" for i in range(len(content))), content=content)
    every = list(combinations(range(len(content)), 2))
    known = [pair for pair in every if content[pair[0]] and content[pair[1]]]
    chosen = data.draw(st.lists(st.sampled_from(known), max_size=3)) if known else []
    remembered = by_content(photos, [pair[::-1] for pair in chosen])
    expected = [any({content[a], content[b]} == {content[c], content[d]} for c, d in chosen) for a, b in every]
    first, second = (np.array(rows, np.int64) for rows in zip(*every, strict=True))
    assert among(photos, first, second, remembered).tolist() == expected


def test_a_photo_whose_content_is_unknown_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="could not be read"):
        by_content(photos_of("A/1.jpg", "A/2.jpg", content=[A, ""]), [(0, 1)])


def test_the_file_grows_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "not_duplicates.json"
    assert read_not_duplicates(path) == frozenset()
    assert remember_not_duplicates(path, frozenset({(A, B)})) == {(A, B)}
    assert remember_not_duplicates(path, frozenset({(B, C), (A, B)})) == {(A, B), (B, C)} == read_not_duplicates(path)
    write_not_duplicates(path, frozenset())
    assert read_not_duplicates(path) == frozenset()
    path.write_text(json.dumps({"format": 1, "not_duplicates": [[B, A], [A, B], [C, C]]}))
    assert read_not_duplicates(path) == {(A, B), (C, C)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("[]", "is no list of decisions"),
        ('{"format": 2, "not_duplicates": []}', "is no list of decisions"),
        ('{"format": 1}', "is no list of decisions"),
        (json.dumps({"format": 1, "not_duplicates": [[A, B], [A]]}), "entry 2 of not_duplicates is"),
        (json.dumps({"format": 1, "not_duplicates": [[A, "a/b.jpg"]]}), "entry 1 of not_duplicates is"),
        (json.dumps({"format": 1, "not_duplicates": [[A, 7]]}), "entry 1 of not_duplicates is"),
        (json.dumps({"format": 1, "not_duplicates": [A]}), "entry 1 of not_duplicates is"),
    ],
)
def test_a_file_of_another_form_is_an_error_that_names_it(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=rf"mine\.json: {says}"):
        remember_not_duplicates(path, frozenset({(A, B)}))
    assert path.read_bytes() == (text.encode() if isinstance(text, str) else text)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the decisions cannot be saved"):
        write_not_duplicates(tmp_path / "none" / "a.json", frozenset())
