"""Which photos go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from siamclip.cleaning.apply.moving.journal import Keeper, Removal
from siamclip.cleaning.apply.removal_plan import plan_removals
from siamclip.cleaning.apply.user_decisions import UserDecision, UserDecisions
from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.errors import UserError
from tests.cleaning.photo_trees import NOT_UTF8

PATHS = ["a/1.jpg", "a/2.jpg", "b/1.jpg", f"b/{NOT_UTF8}", "old/1.jpg", "x/unreadable.jpg"]
CONTENT = ["a" * 32, "b" * 32, "c" * 32, "d" * 32, "a" * 32, ""]
# path, method, reason, keep, related
ROWS: list[tuple[int, str, str, bool, int]] = [
    (0, "phash", "the best of 2 copies", True, -1),
    (1, "phash", "a copy", False, 0),
    (1, "laplacian", "blurred", False, -1),
    (3, "exact", "a copy of a/1.jpg", False, 0),
    (2, "label_errors", "better with a", True, 0),
    (5, "unreadable", "permission denied", False, -1),
]


@pytest.fixture
def photos() -> PhotoTable:
    return PhotoTable(
        Path("/photos"),
        PATHS,
        np.array(CONTENT, "S32"),
        np.arange(10, 16),
        [""] * 5 + ["denied"],
        np.full(6, NO_LABEL),
        [],
        archived=np.array([False] * 4 + [True, False]),
    )


def table(rows: list[tuple[int, str, str, bool, int]] = ROWS, **changed: list[Any]) -> dict[str, Any]:
    return {
        "path": [PATHS[row] for row, *_ in rows],
        "method": [method for _, method, *_ in rows],
        "reason": [row[2] for row in rows],
        "keep": [row[3] for row in rows],
        "content": [CONTENT[row] for row, *_ in rows],
        "related": [PATHS[row[4]] if row[4] >= 0 else "" for row in rows],
        **changed,
    }


def decided(path: str, content: str, keep: bool) -> UserDecisions:
    return UserDecisions("r", (UserDecision(path, content, keep),))


def test_any_method_may_propose(photos: PhotoTable) -> None:
    found = plan_removals(table(), photos)
    assert found.removals == [
        Removal("a/2.jpg", "b" * 32, 11, "a copy; blurred", ("phash", "laplacian")),
        Removal(f"b/{NOT_UTF8}", "d" * 32, 13, "a copy of a/1.jpg", ("exact",)),
    ]
    assert (found.kept_by_hand, found.unverifiable, found.keeper_goes) == ([], ["x/unreadable.jpg"], [])


def test_reads_arrow_with_paths_as_bytes(photos: PhotoTable) -> None:
    columns = table()
    for name in ("path", "related"):
        columns[name] = pa.array([os.fsencode(path) for path in columns[name]], pa.binary())
    assert plan_removals(pa.table(columns), photos) == plan_removals(table(), photos)


def test_only_these_methods(photos: PhotoTable) -> None:
    assert [(r.path, r.methods) for r in plan_removals(table(), photos, methods=["laplacian"]).removals] == [
        ("a/2.jpg", ("laplacian",))
    ]
    assert plan_removals(table(), photos, methods=["sobel"]).removals == []


def test_decisions_stand_above_the_methods(photos: PhotoTable) -> None:
    kept = plan_removals(table(), photos, decided("a/2.jpg", "b" * 32, True))
    assert ([r.path for r in kept.removals], kept.kept_by_hand) == ([f"b/{NOT_UTF8}"], ["a/2.jpg"])
    kept = plan_removals(table(), photos, decided("b/1.jpg", "c" * 32, True))
    assert kept.kept_by_hand == []  # nobody wanted it removed
    gone = plan_removals(table(), photos, decided("b/1.jpg", "c" * 32, False), methods=["laplacian"])
    assert [(r.path, r.reason, r.methods) for r in gone.removals] == [
        ("a/2.jpg", "blurred", ("laplacian",)),
        ("b/1.jpg", "removed by a decision", ("decision",)),
    ]


def test_copies_whose_keeper_is_removed_by_hand(photos: PhotoTable) -> None:
    found = plan_removals(table(), photos, decided("a/1.jpg", "a" * 32, False))
    assert [r.path for r in found.removals] == ["a/1.jpg", "a/2.jpg", f"b/{NOT_UTF8}"]
    assert found.keeper_goes == ["a/2.jpg", f"b/{NOT_UTF8}"]


def test_says_which_photos_stay_for_a_copy(photos: PhotoTable) -> None:
    keeper = Keeper("a/1.jpg", "a" * 32, 10)
    assert plan_removals(table(), photos).keepers == {"a/2.jpg": (keeper,), f"b/{NOT_UTF8}": (keeper,)}
    without = plan_removals(table(), photos, decided("a/1.jpg", "a" * 32, False))  # it goes: keeper_goes says so
    assert not any(without.keepers.values())


def test_other_content_is_refused(photos: PhotoTable) -> None:
    with pytest.raises(UserError, match=r"a/2.jpg has other content now than when it was decided on"):
        plan_removals(table(), photos, decided("a/2.jpg", "e" * 32, True))
    with pytest.raises(UserError, match=r"nowhere.jpg is not in the scan"):
        plan_removals(table(), photos, decided("nowhere.jpg", "e" * 32, True))
    stale = table(content=["e" * 32] * len(ROWS))
    with pytest.raises(UserError, match=r"a/2.jpg: is another photo in the scan than in the findings; run find again"):
        plan_removals(stale, photos)


def test_an_archive_stays(photos: PhotoTable) -> None:
    with pytest.raises(UserError, match=r"old/1.jpg"):
        plan_removals(table([(4, "exact", "a copy", False, 0)]), photos)
    with pytest.raises(UserError, match=r"old/1.jpg is not in the scan"):
        plan_removals(table(), photos, decided("old/1.jpg", "a" * 32, False))
