"""The order in which photos are preferred: each rule decides only where those before it do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.duplicates.groups.keepers import in_folders, rank
from siamclip.errors import UserError
from tests.cleaning.photo_tables import permuted, photos_of

# (name, what the better photo has, what the other has), in the order of the rules
RULES: list[tuple[str, Any, Any]] = [
    ("archived", True, False),
    ("errors", "", "the file is empty"),
    ("unwanted", False, True),
    ("labels", 0, -1),
    ("path", "safe/1.jpg", "else/1.jpg"),
    ("width", 101, 100),
    ("laplacian_variance", 400.0, 50.0),
    ("bytes", 11, 10),
]


@pytest.mark.parametrize("number", range(len(RULES)), ids=[name for name, _, _ in RULES])
def test_a_rule_decides_over_all_those_after_it(number: int) -> None:
    """The first photo is better by rule `number`, the second by every later one; they are equal in those before."""
    columns = {name: [better, better] for name, better, _ in RULES[:number]} | {"archived": [False, False]}
    columns[RULES[number][0]] = [RULES[number][1], RULES[number][2]]
    columns |= {name: [other, better] for name, better, other in RULES[number + 1 :]}
    paths = columns.pop("path")
    if paths[0] == paths[1]:
        paths = [paths[0], paths[0].replace("1", "2")]
    labels, unwanted = columns.pop("labels"), columns.pop("unwanted")
    photos = photos_of(*paths, **columns)
    photos.labels[:] = labels
    for order in ([0, 1], [1, 0]):
        found = rank(permuted(photos, np.array(order)), ["safe"], np.array(unwanted)[order])
        assert found.tolist() == order


def test_equal_photos_are_ordered_by_path() -> None:
    photos = photos_of("A/photo (1).jpg", "A/photo.jpg", "A/other.jpg", "A/京.jpg", "A/\udcff.jpg", bytes=[7] * 5)
    assert rank(photos).tolist() == [4, 3, 2, 0, 1]  # the shorter first


def test_small_differences_of_sharpness_do_not_outweigh_bytes() -> None:
    """Recompression raises the variance a little: the larger file is the original."""
    photos = photos_of("A/recompressed.jpg", "A/original.jpg", laplacian_variance=[190.0, 140.0], bytes=[50, 90])
    assert rank(photos).tolist() == [1, 0]
    photos = photos_of("A/original.jpg", "A/blurred.jpg", laplacian_variance=[190.0, 40.0], bytes=[50, 90])
    assert rank(photos).tolist() == [0, 1]


def test_a_scan_without_sizes_or_sharpness_and_values_that_are_unknown() -> None:
    photos = photos_of("A/1.jpg", "A/2.jpg")
    photos.columns.clear()
    assert rank(photos).tolist() == [1, 0]  # by bytes
    unknown = photos_of("A/1.jpg", "A/2.jpg", "A/3.jpg", laplacian_variance=[np.nan, 0.0, 0.1])
    assert rank(unknown).tolist() == [2, 1, 0]


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.sampled_from([50.0, 90.0, np.nan]), st.integers(0, 2)), max_size=12
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_is_total_and_does_not_depend_on_the_rows(rows: list[tuple], random: Any) -> None:
    photos = photos_of(
        *(f"{'AB'[i % 2]}/{i}.jpg" for i in range(len(rows))),
        archived=[row[0] for row in rows],
        errors=["" if row[1] else "empty" for row in rows],
        laplacian_variance=np.array([row[2] for row in rows]),
        bytes=[row[3] for row in rows],
    )
    to = list(range(len(rows)))
    random.shuffle(to)
    order = rank(photos)
    assert sorted(order) == list(range(len(rows)))
    assert rank(permuted(photos, np.array(to, int))).tolist() == order[to].tolist()


def test_protected_folders_are_whole_names_at_any_depth() -> None:
    photos = photos_of("a/1.jpg", "ab/1.jpg", "a/b/2.jpg", "c/a/1.jpg")
    assert in_folders(photos, []).tolist() == [False] * 4
    assert in_folders(photos, ["a"]).tolist() == [True, False, True, False]
    assert in_folders(photos, ["./a/b/"]).tolist() == [False, False, True, False]
    assert in_folders(photos, ["/photos/c", "ab"]).tolist() == [False, True, False, True]
    assert in_folders(photos, ["."]).all()
    assert rank(photos, ["c", "ab", "a/b", "a"]).tolist() == [3, 1, 2, 0]  # in this order


@pytest.mark.parametrize("folder", ["A", "a/1.jpg", "b", "/elsewhere/a", "../photos/a"])
def test_a_protected_folder_without_photos_is_an_error(folder: str) -> None:
    with pytest.raises(UserError, match=f"^protected {folder}: no photo lies in that folder"):
        in_folders(photos_of("a/1.jpg"), [folder])
