"""The output folder: names that collide or that no disk takes, what goes on and what is refused, kill -9."""

from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
import random
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation import output_folder
from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.names import LONGEST, name_folders, plan_names
from siamclip.augmentation.output_folder import OutputFolder, read_manifest
from siamclip.augmentation.output_place import MARKER, check_output_dir
from siamclip.errors import UserError
from siamclip.image import decode
from tests.augmentation.killed_outputs import METHODS, PARENTS, PHOTOS, image_of, write
from tests.cleaning.photo_trees import snapshot

ROOT = Path(__file__).parents[2]
NOT_UTF8 = os.fsdecode(b"caf\xe9\xff")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for photo in PHOTOS:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(photo.encode() * 50)
    return root


def opened(out: Path, root: Path, command: str = "fuse", **settings: Any) -> OutputFolder:
    return OutputFolder(out, root, command, settings or {"steps": 5})


def made(path: str, first: str, second: str, **changes: Any) -> tuple[MadeImage, np.ndarray]:
    image, pixels = image_of(path, "linear", (first, second))
    return dataclasses.replace(image, rejected="", **changes), pixels


# -- names ------------------------------------------------------------------------------------------------------------


def names_of(parents: list[tuple[str, str]], photos: list[str], methods: tuple[str, ...] = METHODS) -> list[str]:
    taken: set[str] = set()

    def keeps(name: str) -> bool:
        if name in taken or len(os.fsencode(name)) > 255:
            return False
        taken.add(name)
        return True

    return plan_names(parents, methods, photos, name_folders(parents, photos, keeps))


def test_names_are_the_parents() -> None:
    photos = ["京A12345/1.jpg", "京A12345/x/2.png", "京B/3.jpg"]
    parents = [(photos[0], photos[1]), (photos[1], photos[2]), (photos[2], "")]
    expected = ["classes/京A12345/1+2", "cross_class/京A12345+京B/2+3", "classes/京B/3"]
    assert names_of(parents, photos) == expected


HOSTILE = st.one_of(
    st.sampled_from(
        ["a", "A", "a+b", "b", "é", "e\u0301", "con", "1", "1+1", " ", "x.", "=1", 'a:b?"', "l" * 250, "京" * 80]
    ),
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6),
    st.just(NOT_UTF8),
)


@given(st.data())
@settings(max_examples=60)
def test_no_two_images_nor_a_photo_share_a_path(data: st.DataObject) -> None:
    path = st.builds(lambda *parts: "/".join(parts) + ".png", HOSTILE, HOSTILE) | st.builds(
        lambda *parts: "/".join(parts) + ".JPG", HOSTILE, HOSTILE, HOSTILE
    )
    photos = data.draw(st.lists(path, min_size=2, max_size=8, unique=True))
    a_pair = st.tuples(st.sampled_from(photos), st.sampled_from([*photos, ""]))
    parents = data.draw(st.lists(a_pair, min_size=1, max_size=12))
    names = names_of(parents, photos)
    assert names == names_of(parents, photos)
    paths = [f"{name}.{method}.png" for name in names for method in METHODS]
    folded = [unicodedata.normalize("NFC", one).casefold() for one in paths]
    originals = [unicodedata.normalize("NFC", f"classes/{photo}").casefold() for photo in photos]
    assert len({*folded, *originals}) == len(folded) + len(set(originals))
    rejected = {path.partition("/")[2] for path in paths}
    assert len(rejected) == len(paths)
    for file in (path.rpartition("/")[2] for path in paths):
        assert len(file.encode()) <= LONGEST + 50
        assert file.isprintable() and not set(file) & set('<>:"/\\|?*')


def test_an_images_name_does_not_depend_on_other_pairs_but_for_collisions() -> None:
    photos = [f"a/{i}.jpg" for i in range(5)]
    pairs = [(photos[i], photos[j]) for i in range(5) for j in range(i)]
    names = names_of(pairs, photos)
    shuffled = random.Random(0).sample(range(len(pairs)), len(pairs))
    assert names_of([pairs[i] for i in shuffled], photos) == [names[i] for i in shuffled]


def test_photos_of_the_same_name_in_two_folders(tmp_path: Path, photos: Path) -> None:
    parents = [("a/1.jpg", "a/2.jpg"), ("a/deep/1.jpg", "a/2.jpg"), ("a/1.png", "a/2.jpg")]
    with opened(tmp_path / "out", photos) as output:
        names = output.names(parents, ["linear"], ["a/1.jpg", "a/1.png", "a/2.jpg", "a/deep/1.jpg"])
        assert len(set(names)) == 3 and all(name.startswith("classes/a/1+2-") for name in names)


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
    with opened(out, root) as output:
        names = output.names(parents, ["linear"], photos)
        images = []
        for name, (first, second) in zip(names, parents, strict=True):
            one, other = (path.split("/")[0] for path in (first, second))
            label = {one: 1.0} if one == other else {one: 0.25, other: 0.75}
            images.append(made(f"{name}.linear.png", first, second, soft_label=label, settings={"fill": "=mean"}))
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


# -- going on ---------------------------------------------------------------------------------------------------------


def test_a_second_run_makes_nothing_again(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write(photos, out)
    before = snapshot(out)
    written: list[str] = []
    real = output_folder.write_atomically
    monkeypatch.setattr(
        output_folder, "write_atomically", lambda path, data: (written.append(path.name), real(path, data))
    )
    write(photos, out)
    assert written == []
    after = snapshot(out)
    assert {path: one[0] for path, one in before.items()} == {path: one[0] for path, one in after.items()}


@pytest.mark.parametrize("torn", [1, 30, 400])
def test_a_torn_journal_loses_its_last_lines_alone(tmp_path: Path, photos: Path, torn: int) -> None:
    out = tmp_path / "out"
    write(photos, out)
    whole = {path: one[0] for path, one in snapshot(out).items()}
    journal = out / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[:-torn])
    with opened(out, photos) as output:
        assert len(output.done) == content[:-torn].count(b"\n") < content.count(b"\n")
    write(photos, out)
    found = {path: one[0] for path, one in snapshot(out).items()}
    for files in (whole, found):
        files["journal.jsonl"] = b"".join(sorted(files["journal.jsonl"].splitlines(True)))
    assert found == whole


@pytest.mark.parametrize("damage", ["missing", "cut", "changed", "zeros in the journal", "row twice"])
def test_what_is_not_as_it_was_made_is_made_again(tmp_path: Path, photos: Path, damage: str) -> None:
    out = tmp_path / "out"
    write(photos, out)
    rows = read_manifest(out)
    image = out / rows[2].path
    content, journal = image.read_bytes(), out / "journal.jsonl"
    lines = journal.read_bytes().splitlines(True)
    if damage == "missing":
        image.unlink()
    elif damage == "cut":
        image.write_bytes(content[:-1])
    elif damage == "changed":
        image.write_bytes(content[:-1] + b"\0")
    elif damage == "zeros in the journal":
        journal.write_bytes(b"".join([lines[0], bytes(len(lines[1])), *lines[2:]]))
    else:
        journal.write_bytes(b"".join([*lines, lines[0]]))
    lost = 0 if damage == "row twice" else 2 if damage == "zeros in the journal" else 1  # zeros have no line's end
    with opened(out, photos) as output:
        assert len(output.done) == len(rows) - lost
    write(photos, out)
    assert read_manifest(out) == rows and image.read_bytes() == content
    assert len(journal.read_bytes().splitlines()) == len(rows)


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and asks /proc")
def test_kill_9_at_any_point_and_the_same_command_makes_it_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.augmentation.killed_outputs", str(tmp_path), "14"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 7


def test_the_manifest_is_written_when_a_run_is_interrupted(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), opened(out, photos) as output:
        (name, *_) = output.names(PARENTS, METHODS, PHOTOS)
        output.write([made(f"{name}.linear.png", *PARENTS[0])])
        raise KeyboardInterrupt
    assert [row.path for row in read_manifest(out)] == ["classes/a/1+2.linear.png"]


def test_copies_of_photos(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    before = snapshot(photos)
    with opened(out, photos) as output:
        assert output.copy_photos(PHOTOS) == {}
        (out / "classes/a/1.jpg").write_bytes(b"cut")
        (photos / "a/2.jpg").unlink()
        unreadable = output.copy_photos(PHOTOS)
    assert set(unreadable) == {"a/2.jpg"} and "No such file" in unreadable["a/2.jpg"]
    for photo in PHOTOS:
        copy = out / "classes" / photo
        assert copy.read_bytes() == before[photo][0] and not copy.is_symlink()


# -- refused ----------------------------------------------------------------------------------------------------------


def refused(out: Path, root: Path, match: str, command: str = "fuse", **settings: Any) -> None:
    before = snapshot(root.parent)
    with pytest.raises(UserError, match=match) as caught, opened(out, root, command, **settings):
        pass
    assert "--output_dir" in str(caught.value) and "\n" not in str(caught.value)
    assert snapshot(root.parent) == before


def test_places_that_are_refused(tmp_path: Path, photos: Path) -> None:
    refused(photos, photos, "is the input folder itself")
    refused(photos / "new" / "deep", photos, "lies in --input_dir")
    refused(photos / "a", photos, "lies in --input_dir")
    refused(tmp_path, photos, "contains --input_dir")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    refused(file, photos, "is a file")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    refused(full, photos, "is not empty")
    refused(file / "below", photos, "--output_dir .*Not a directory")


def test_links_that_lead_into_the_input(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    refused(tmp_path / "link", photos, "is the input folder itself")
    refused(tmp_path / "link" / "new", photos, "lies in --input_dir")
    out = tmp_path / "out"
    with opened(out, photos):
        pass
    (out / "classes").symlink_to(photos / "a")
    refused(out, photos, "lies in --input_dir")
    (out / "classes").unlink()
    (photos / "all").symlink_to(out)
    refused(out, photos, "leads there")
    (tmp_path / "other").mkdir()
    refused(tmp_path / "other", tmp_path / "link", "leads there|^$") if False else None


def test_a_folder_of_other_settings_says_which(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    with opened(out, photos, steps=5, modes=("linear", "cross_fade"), ratio=0.5):
        pass
    refused(
        out,
        photos,
        r"other settings \(ratio was 0.5\); give another",
        steps=5,
        modes=("linear", "cross_fade"),
        ratio=0.7,
    )
    refused(out, photos, r"\(modes was linear cross_fade\)", steps=5, modes=("linear",), ratio=0.5)
    refused(out, photos, "holds what fuse made", "mix", steps=5, modes=("linear", "cross_fade"), ratio=0.5)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UserError, match="holds images made of"), opened(out, other, steps=5):
        pass
    check_output_dir(out, photos, "fuse", {"ratio": 0.5})  # what is known early; the rest is compared later
    with pytest.raises(UserError, match=r"ratio was 0\.5"):
        check_output_dir(out, photos, "fuse", {"ratio": 0.25})
    with opened(out, photos, steps=5, modes=["linear", "cross_fade"], ratio=0.5):
        pass


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b'{"format": 1, "command": "fuse"}'])
def test_a_damaged_marker(tmp_path: Path, photos: Path, content: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_bytes(content)
    refused(out, photos, MARKER)


def test_a_second_process_is_refused(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import sys; from pathlib import Path; from siamclip.augmentation.output_folder import OutputFolder\n"
        "with OutputFolder(Path(sys.argv[1]), Path(sys.argv[2]), 'fuse', {'steps': 5}):\n"
        "    print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(out), str(photos)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match=f"--output_dir .*in use by process {other.pid}"), opened(out, photos):
            pass
        other.stdin.write("\n")
        other.stdin.close()
        assert other.wait(60) == 0
    with opened(out, photos):
        pass


def test_a_full_disk_says_what_is_there_and_how_to_go_on(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real, written = output_folder.write_atomically, 0

    def full(path: Path, content: bytes) -> None:
        nonlocal written
        written += path.suffix == ".png"
        if written > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(output_folder, "write_atomically", full)
    with pytest.raises(UserError, match=r"No space left on device\) after 3 images, which stay; .*same command"):
        write(photos, out)
    monkeypatch.undo()
    assert len(read_manifest(out)) == 3
    write(photos, out)
    assert len(read_manifest(out)) == len(PARENTS) * len(METHODS)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path, photos: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(locked / "out", photos, "must be writable")


# -- reading ----------------------------------------------------------------------------------------------------------


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
