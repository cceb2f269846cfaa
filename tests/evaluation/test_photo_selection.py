"""Which identities are evaluated, and what is said where the checkpoint has seen them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from siamclip.data.collection import Collection, Skipped
from siamclip.errors import UserError
from siamclip.evaluation.photo_selection import SeenIdentities, fairness_notes, few_identities_note, select_photos

SEEN = SeenIdentities.of({"split": {"train": ["a", "b", "\u00e9"], "val": ["c", "d"], "test": ["e"]}})
UNKNOWN = SeenIdentities.of({"config": {}})


def folder(*names: str, root: str = "photos", photos: int = 2) -> Collection:
    labels = np.repeat(np.arange(len(names)), photos)
    paths = [f"{names[label]}/{i}.jpg" for i, label in enumerate(labels)]
    return Collection(Path(root), paths, labels, list(names), [Skipped("notes.txt", "not an image")])


@pytest.mark.parametrize(
    ("names", "split", "expected", "side"),
    [
        ("abcdef", None, "ef", "test identities"),  # f came after the training
        ("abcdef", "test", "ef", "test identities"),
        ("abcdef", "val", "cd", "validation identities"),
        ("abcdef", "all", "abcdef", "all identities"),
        ("wxyz", None, "wxyz", "unseen identities"),
        ("wxyz", "all", "wxyz", "all identities"),
        ("cdxy", None, "xy", "test identities"),  # c and d chose the threshold
        ("cd", None, "cd", "validation identities"),  # there is nobody else
    ],
)
def test_identities_are_chosen_by_what_the_checkpoint_has_seen(
    names: str, split: str | None, expected: str, side: str
) -> None:
    found = select_photos(folder(*names), None, SEEN, split)
    assert (found.evaluated.identities, found.side) == (list(expected), side)
    assert found.validation is not None
    assert found.validation.identities == [name for name in names if name in "cd"]
    assert len(found.files()) == len(set(found.files()))
    assert found.left_out == [("notes.txt", "not an image")]


@pytest.mark.parametrize(("names", "split"), [("ab", None), ("abcd", None), ("cd", "test"), ("abef", "val")])
def test_nobody_to_evaluate_is_refused(names: str, split: str | None) -> None:
    with pytest.raises(UserError, match=rf"data_dir photos: none of its {len(names)} identities is among the"):
        select_photos(folder(*names), None, SEEN, split)


def test_validation_identities_may_lie_elsewhere() -> None:
    found = select_photos(folder(*"abcdef"), folder(*"afg", root="val"), SEEN, None)
    assert found.validation is not None
    assert found.validation.identities == ["f", "g"]  # a was trained on
    assert (str(Path("val") / "notes.txt"), "not an image") in found.left_out


def test_names_that_macos_decomposed_are_recognised() -> None:
    found = select_photos(folder("e\u0301", "x", "y"), None, SEEN, None)
    assert found.evaluated.identities == ["x", "y"]


@pytest.mark.parametrize(
    ("names", "split", "said"),
    [
        ("abcdef", None, []),
        ("wxyz", "all", []),
        ("abwxyz", "all", ["trained on 2 of these 6 identities"]),
        ("abcxyz", "all", ["trained on 2 of these 6 identities", "chosen on 1 of these 6 identities"]),
        ("cdxy", "all", ["chosen on 2 of these 4 identities"]),
        ("abcd", "val", ["chosen on 2 of these 2 identities"]),
    ],
)
def test_only_what_was_seen_flatters(names: str, split: str | None, said: list[str]) -> None:
    notes = fairness_notes(select_photos(folder(*names), None, SEEN, split), SEEN)
    assert len(notes) == len(said)
    for note, text in zip(notes, said, strict=True):
        assert text in note
        assert "flatter" in note


def test_a_checkpoint_that_does_not_say_what_it_has_seen() -> None:
    assert UNKNOWN is None
    for split in (None, "test", "val"):
        with pytest.raises(UserError, match="does not say what it was trained on; train again, or give split all"):
            select_photos(folder(*"abc"), None, UNKNOWN, split)
    found = select_photos(folder(*"abc"), None, UNKNOWN, "all")
    assert found.evaluated.identities == ["a", "b", "c"]
    assert found.validation is not None
    assert len(found.validation) == 0  # which identities may choose a threshold is not known either
    assert ["cannot be told" in note for note in fairness_notes(found, UNKNOWN)] == [True]


def test_unreadable_photos_are_left_out() -> None:
    photos = select_photos(folder(*"cdxy"), None, SEEN, None)
    gone = {Path("photos/x/4.jpg"): "truncated", Path("photos/c/0.jpg"): "truncated"}
    found = photos.without(gone)
    assert (len(found.evaluated), found.validation and len(found.validation)) == (3, 3)
    assert ("photos/x/4.jpg", "truncated") in found.left_out
    assert len(photos.evaluated) == 4  # the photos asked for stay as they were
    with pytest.raises(UserError, match="the evaluated side has 1 identity"):
        photos.without({Path("photos/x/4.jpg"): "truncated", Path("photos/x/5.jpg"): "truncated"})


def test_few_identities_are_said() -> None:
    names = [f"n{i:02}" for i in range(30)]
    assert few_identities_note(select_photos(folder(*names), None, SEEN, None)) == []
    assert "Only 29 identities" in few_identities_note(select_photos(folder(*names[1:]), None, SEEN, None))[0]
