"""The output folder: what goes on after it was interrupted or damaged, what is refused, kill -9."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output import folder as output_folder
from siamclip.augmentation.output.folder import OutputFolder, read_manifest
from siamclip.augmentation.output.place import check_output_dir
from siamclip.errors import UserError
from siamclip.files.markers import MARKER
from tests.augmentation.killed_outputs import METHODS, PARENTS, PHOTOS, image_of, write
from tests.cleaning.photo_trees import snapshot

ROOT = Path(__file__).parents[3]
NOT_UTF8 = os.fsdecode(b"caf\xe9\xff")


def opened(out: Path, root: Path, command: str = "fuse", **settings: Any) -> OutputFolder:
    return OutputFolder(out, root, command, settings or {"steps": 5})


def made(path: str, first: str, second: str, **changes: Any) -> tuple[MadeImage, np.ndarray]:
    image, pixels = image_of(path, "linear", (first, second))
    return dataclasses.replace(image, rejected="", **changes), pixels


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


def test_photos_of_the_same_name_in_two_folders(tmp_path: Path, photos: Path) -> None:
    parents = [("a/1.jpg", "a/2.jpg"), ("a/deep/1.jpg", "a/2.jpg"), ("a/1.png", "a/2.jpg")]
    with opened(tmp_path / "out", photos) as output:
        names = output.names(parents, ["linear"], ["a/1.jpg", "a/1.png", "a/2.jpg", "a/deep/1.jpg"])
        assert len(set(names)) == 3 and all(name.startswith("classes/a/1+2-") for name in names)


# -- refused ----------------------------------------------------------------------------------------------------------


def refused(out: Path, root: Path, match: str, command: str = "fuse", **settings: Any) -> None:
    before = snapshot(root.parent)
    with pytest.raises(UserError, match=match) as caught, opened(out, root, command, **settings):
        pass
    line = caught.value.told(lambda setting: f"--{setting}")
    assert "--output_dir" in line and "\n" not in line
    assert snapshot(root.parent) == before


def test_places_that_are_refused(tmp_path: Path, photos: Path) -> None:
    refused(photos, photos, "is the input folder itself")
    refused(photos / "new" / "deep", photos, "lies in input_dir")
    refused(photos / "a", photos, "lies in input_dir")
    refused(tmp_path, photos, "contains input_dir")
    file = tmp_path / "file"
    file.write_bytes(b"x")
    refused(file, photos, "is a file")
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    refused(full, photos, "is not empty")
    refused(file / "below", photos, "output_dir .*Not a directory")


def test_links_that_lead_into_the_input(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    refused(tmp_path / "link", photos, "is the input folder itself")
    refused(tmp_path / "link" / "new", photos, "lies in input_dir")
    out = tmp_path / "out"
    with opened(out, photos):
        pass
    (out / "classes").symlink_to(photos / "a")
    refused(out, photos, "lies in input_dir")
    (out / "classes").unlink()
    (photos / "all").symlink_to(out)
    refused(out, photos, "leads there")


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
        "import sys; from pathlib import Path; from siamclip.augmentation.output.folder import OutputFolder\n"
        "with OutputFolder(Path(sys.argv[1]), Path(sys.argv[2]), 'fuse', {'steps': 5}):\n"
        "    print('in', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(out), str(photos)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin and other.stdout and other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match=f"output_dir .*in use by process {other.pid}"), opened(out, photos):
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


def test_a_disk_that_is_full_for_the_journal(tmp_path: Path, photos: Path) -> None:
    """What waits in its buffer is not tried again when it is closed; the line that was torn is made again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    images = [made(f"classes/a/{k}.linear.png", "a/1.jpg", "a/2.jpg") for k in range(20)]
    try:
        with pytest.raises(UserError, match="cannot be written"), opened(tmp_path / "out", photos) as out:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
            for image in images:
                out.write([image])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with opened(tmp_path / "out", photos) as out:
        assert 0 < len(out.done) < len(images)
        out.write([(image, pixels) for image, pixels in images if image.path not in out.done])
    assert len(read_manifest(tmp_path / "out")) == len(images)


def test_a_photo_whose_name_is_as_long_as_can_be(tmp_path: Path, photos: Path) -> None:
    name = f"long/{'x' * 251}.jpg"
    (photos / name).parent.mkdir()
    (photos / name).write_bytes(b"photo")
    with OutputFolder(tmp_path / "out", photos, "fuse", {}) as out:
        assert out.copy_photos([name]) == {}
    assert (tmp_path / "out" / "classes" / name).read_bytes() == b"photo"


def test_an_output_folder_that_no_file_system_takes(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(UserError, match=r"output_dir .*: cannot be used"):
        check_output_dir(tmp_path / ("o" * 300), photos, "fuse", {})


def test_a_link_to_itself_in_the_input(tmp_path: Path, photos: Path) -> None:
    (photos / "loop").symlink_to("loop")
    check_output_dir(tmp_path / "out", photos, "fuse", {})
