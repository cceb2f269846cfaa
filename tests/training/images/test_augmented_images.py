"""Which made images may be trained on: nothing that owes anything to validation or test, and the labels as written."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siamclip.data.collection import Collection
from siamclip.errors import UserError
from siamclip.training.images.augmented_images import (
    HELD_OUT,
    NEEDS_SOFT_LOSS,
    NO_PHOTO,
    AugmentedImages,
    usable_images,
)
from tests.augmented_folders import augmented_folder, blend

IDENTITIES = ["A", "B", "Ä~2", "京"]
PHOTOS = [f"{name}/{i}.png" for name in IDENTITIES for i in range(3)]
HELD = ["test 1", "val 1", "Ö~1"]
WITHIN, CROSS = blend("B/0.png", "B/1.png"), blend("A/0.png", "京/2.png", 0.25)


def used(folder: Path, soft_labels: bool = True) -> AugmentedImages:
    train = Collection(Path("photos"), PHOTOS, np.repeat(np.arange(len(IDENTITIES)), 3), IDENTITIES)
    return usable_images(folder, train, HELD, soft_labels)


def test_labels_are_those_of_the_manifest(tmp_path: Path) -> None:
    found = used(augmented_folder(tmp_path, [WITHIN, CROSS, blend("A/1.png", "")]))
    assert found.paths == sorted(found.paths)
    assert all(file.is_file() for file in found.files)
    assert not found.left_out
    assert not found.skipped
    table = {path: {IDENTITIES[i]: s for i, s in zip(*row, strict=True) if s} for path, row in rows_of(found).items()}
    assert table == {CROSS.path: {"A": 0.25, "京": 0.75}, WITHIN.path: {"B": 1.0}, "classes/A/1.linear.png": {"A": 1.0}}
    assert found.note() == f"{tmp_path}: 3 augmented images, 1 of them of several identities"


def rows_of(found: AugmentedImages) -> dict[str, tuple[list[int], list[float]]]:
    labels = found.labels
    return dict(zip(found.paths, zip(labels.identities.tolist(), labels.shares.tolist(), strict=True), strict=True))


LEAKS = {
    "a parent of a test identity": blend("A/0.png", "test 1/0.png"),
    "a photo of a validation identity alone": blend("val 1/0.png", ""),
    "within a test identity": blend("test 1/0.png", "test 1/1.png"),
    "another vehicle with a held-out plate": blend("A/0.png", "Ö~2/0.png"),
    "the same in another Unicode form": blend("A/0.png", unicodedata.normalize("NFD", "Ö") + "/0.png"),
    "a label that hides its parent": replace(blend("A/0.png", "test 1/0.png"), soft_label={"A": 1.0}),
    "parents that hide its label": replace(WITHIN, soft_label={"B": 0.9, "test 1": 0.1}, path="cross_class/x.png"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_what_owes_anything_to_another_side_is_left_out(name: str, tmp_path: Path) -> None:
    found = used(augmented_folder(tmp_path, [WITHIN, LEAKS[name]]))
    assert found.paths == [WITHIN.path]
    assert found.left_out == {HELD_OUT: 1}
    assert found.note().endswith(f"1 augmented images; left out: 1 {HELD_OUT}")


def test_rejected_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    rows = [
        WITHIN,
        blend("A/0.png", "A/1.png", rejected="too smooth"),
        blend("B/0.png", "B/9.png"),  # a photo that is gone
        blend("C/0.png", "C/1.png"),  # an identity that never was
        replace(WITHIN, path="classes/B/no parents.png", first="", second=""),
    ]
    found = used(augmented_folder(tmp_path, rows))
    assert found.paths == [WITHIN.path]
    assert found.left_out == {NO_PHOTO: 3, "rejected by augment.py's gate": 1}


def test_a_loss_of_hard_labels_gets_none_of_several_identities(tmp_path: Path) -> None:
    folder = augmented_folder(tmp_path, [WITHIN, CROSS])
    found = used(folder, soft_labels=False)
    assert found.paths == [WITHIN.path]
    assert found.left_out == {NEEDS_SOFT_LOSS: 1}
    assert "the contrastive loss alone" in found.note()
    assert not found.labels.mixed.any()


def test_names_in_another_unicode_form_are_the_same(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Ä~2")
    found = used(augmented_folder(tmp_path, [blend(f"{decomposed}/0.png", f"{decomposed}/1.png")]))
    assert found.labels.hardened.tolist() == [IDENTITIES.index("Ä~2")]


@pytest.mark.parametrize("damage", ["gone", "empty", "text"])
def test_unreadable_images_are_skipped_and_listed(damage: str, tmp_path: Path) -> None:
    folder = augmented_folder(tmp_path, [WITHIN, CROSS])
    file = folder / CROSS.path
    file.unlink() if damage == "gone" else file.write_bytes(b"" if damage == "empty" else b"not an image")
    found = used(folder)
    assert found.paths == [WITHIN.path]
    assert [path for path, _ in found.skipped] == [CROSS.path]
    assert "1 unreadable" in found.note()


def test_a_folder_without_a_usable_image_is_refused(tmp_path: Path) -> None:
    folder = augmented_folder(tmp_path / "out", [blend("x/A/0.png", "x/A/1.png"), LEAKS["within a test identity"]])
    with pytest.raises(UserError, match=r"augmented_dir .*none of its 2 images can be trained on .*input_dir"):
        used(folder)
    with pytest.raises(UserError, match=r"holds no manifest\.parquet .*augment\.py"):
        used(tmp_path)


def test_the_fingerprint_knows_names_sizes_and_labels(tmp_path: Path) -> None:
    def fingerprint(name: str, *rows: object, grow: bool = False) -> str:
        folder = augmented_folder(tmp_path / name, list(rows))
        if grow:
            file = folder / WITHIN.path
            file.write_bytes(file.read_bytes() + b"\0")
        return used(folder).fingerprint

    first = fingerprint("first", WITHIN, CROSS)
    assert fingerprint("same", CROSS, WITHIN) == first
    changed = [
        fingerprint("fewer", WITHIN),
        fingerprint("other label", WITHIN, replace(CROSS, soft_label={"A": 0.3, "京": 0.7})),
        fingerprint("other size", WITHIN, CROSS, grow=True),
    ]
    assert len({first, *changed}) == 4


def test_a_manifest_as_csv_will_do(tmp_path: Path) -> None:
    folder = augmented_folder(tmp_path, [WITHIN, CROSS])
    before = used(folder)
    (folder / "manifest.parquet").unlink()
    assert used(folder).paths == before.paths
    np.testing.assert_array_equal(used(folder).labels.shares, before.labels.shares)
