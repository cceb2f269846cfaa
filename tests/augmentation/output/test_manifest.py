"""The manifest: hostile names come back from both files, other readers understand it, damage is told."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from siamclip.augmentation.output.folder import OutputFolder, read_manifest
from siamclip.data.image.decode import decode
from siamclip.errors import UserError
from tests.augmentation.killed_outputs import METHODS, PARENTS, image_of, write
from tests.cleaning.photo_trees import snapshot

NOT_UTF8 = os.fsdecode(b"caf\xe9\xff")


def test_hostile_names_come_back_from_disk_csv_and_parquet(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    identities = [
        "=1+1",
        "'quoted",
        "a,b",
        "two\nlines",
        "cr\rlf\n",
        NOT_UTF8,
        "京" * 80,
        "x. ",
        "~",
        "\U0001f697",
        "a" * 200,
    ]
    photos = [f"{identity}/{name}.jpg" for identity in identities for name in ("1", '"2",', NOT_UTF8)]
    for photo in photos:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(os.fsencode(photo))
    parents = [(photos[i], photos[j]) for i in range(len(photos)) for j in range(i + 1, min(i + 4, len(photos)))]
    out = tmp_path / "out"
    with OutputFolder(out, root, "fuse", {}) as output:
        names = output.names(parents, ["linear"], photos)
        images = []
        for name, (first, second) in zip(names, parents, strict=True):
            one, other = (path.split("/")[0] for path in (first, second))
            label = {one: 1.0} if one == other else {one: 0.25, other: 0.75}
            image, pixels = image_of(f"{name}.linear.png", "linear", (first, second))
            given = {"rejected": "", "soft_label": label, "settings": {"fill": "=mean"}}
            images.append((dataclasses.replace(image, **given), pixels))
        images[0] = dataclasses.replace(images[0][0], similarity=float("nan"), scores={}), images[0][1]
        output.write(images)
        assert output.copy_photos(photos) == {}
    rows = read_manifest(out)
    assert repr(sorted(rows, key=str)) == repr(sorted((row for row, _ in images), key=str))  # nan is nan
    assert [row.path for row in rows] == sorted(row.path for row in rows)
    for row, pixels in images:
        assert np.array_equal(decode(out / row.path), pixels)
    copied = {content for path, (content, *_) in snapshot(out / "classes").items() if path.endswith(".jpg")}
    assert copied == {os.fsencode(photo) for photo in photos}
    for identity in identities:
        assert (out / "classes" / identity / "1.jpg").read_bytes() == os.fsencode(f"{identity}/1.jpg")
    (out / "manifest.parquet").unlink()
    assert repr(read_manifest(out)) == repr(rows)
    text = (out / "manifest.csv").read_bytes().decode("utf-8-sig", "surrogateescape")
    cells = [cell for line in csv.reader(text.splitlines(True)) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


def test_other_readers_understand_the_manifest(tmp_path: Path, photos: Path) -> None:
    write(photos, tmp_path / "out")
    tables = [
        pyarrow.csv.read_csv(tmp_path / "out" / "manifest.csv").to_pydict(),
        pyarrow.parquet.read_table(tmp_path / "out" / "manifest.parquet").to_pydict(),
    ]
    rows = read_manifest(tmp_path / "out")
    assert len(rows) == len(PARENTS) * len(METHODS)
    for table in tables:
        assert table["path"] == [row.path for row in rows]
        assert table["gate_sharpness"] == [row.scores["sharpness"] for row in rows]
        assert [json.loads(text) for text in table["soft_label"]] == [row.soft_label for row in rows]
        assert table["seed"] == [row.seed for row in rows]


@pytest.mark.parametrize(
    ("column", "value", "match"),
    [
        ("ratio", "much", "could not convert"),
        ("soft_label", '{"a": 0.5}', "the shares"),
        ("soft_label", '{"a": -0.5, "b": 1.5}', "the shares"),
        ("soft_label", "[1]", "soft_label is"),
        ("path", "../../elsewhere.png", "leaves the folder"),
        ("path", "/etc/passwd", "leaves the folder"),
        ("seed", "", "invalid literal"),
        ("method", None, "has no column 'method'"),
    ],
)
def test_damaged_manifests(tmp_path: Path, photos: Path, column: str, value: str | None, match: str) -> None:
    out = tmp_path / "out"
    write(photos, out)
    (out / "manifest.parquet").unlink()
    file = out / "manifest.csv"
    with file.open(encoding="utf-8-sig", newline="") as text:
        header, *rows = csv.reader(text)
    place = header.index(column)
    if value is None:
        for row in (header, *rows):
            del row[place]
    else:
        rows[1][place] = value
    with file.open("w", encoding="utf-8-sig", newline="") as text:
        csv.writer(text).writerows([header, *rows])
    with pytest.raises(UserError, match=match) as caught:
        read_manifest(out)
    assert str(file) in str(caught.value)


def test_manifests_that_are_none(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    write(photos, out)
    (out / "manifest.parquet").write_bytes((out / "manifest.parquet").read_bytes()[:-9])
    with pytest.raises(UserError, match=r"manifest.parquet: cannot be used"):
        read_manifest(out)
    with pytest.raises(UserError, match=r"holds no manifest.parquet"):
        read_manifest(photos)
