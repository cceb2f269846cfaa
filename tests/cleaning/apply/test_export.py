"""export: the cleaned collection elsewhere, the original untouched."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from siamclip.cleaning.apply.export import MARKER, KeptPhoto, Mode, export, kept_photos
from siamclip.cleaning.contracts import NO_LABEL, PhotoTable
from siamclip.errors import UserError
from tests.cleaning.photo_trees import ODD_NAMES, on_its_own_disk, removals_of, snapshot, write

FILES = {"a/1.jpg": b"one", "a/2.jpg": b"two", "b/1.jpg": b"other one", "b/deep/er/3.jpg": b"three", "top.jpg": b""}
MODES: tuple[Mode, ...] = ("hardlink", "copy")
both = pytest.mark.parametrize("mode", MODES)
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX file systems")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "data", FILES)
    return tmp_path / "data"


def kept(root: Path, paths: Any) -> list[KeptPhoto]:
    return [KeptPhoto(removal.path, removal.content) for removal in removals_of(root, paths)]


def exported(destination: Path) -> dict[str, tuple[bytes, int, int]]:
    found = snapshot(destination)
    del found[MARKER]
    return found


@both
def test_writes_these_and_leaves_the_original(mode: Mode, root: Path, tmp_path: Path) -> None:
    before = snapshot(root)
    paths = ["a/1.jpg", "b/1.jpg", "b/deep/er/3.jpg", "top.jpg"]
    stages: list[tuple[str, int, int]] = []
    summary = export(root, kept(root, paths), tmp_path / "out", mode, lambda *stage: stages.append(stage))
    assert (summary.written, summary.there, summary.unreadable) == (4, 0, [])
    assert exported(tmp_path / "out") == {path: before[path] for path in paths}
    assert snapshot(root) == before
    assert (tmp_path / "out/a/1.jpg").samefile(root / "a/1.jpg") == (mode == "hardlink")
    assert stages == [("exporting", n, 4) for n in (1, 2, 3, 4)]


@posix
@both
def test_odd_names(mode: Mode, tmp_path: Path) -> None:
    root = tmp_path / "odd"
    write(root, {f"a/{name}": name.encode() for name in ODD_NAMES})
    export(root, kept(root, snapshot(root)), tmp_path / "out", mode)
    assert exported(tmp_path / "out") == snapshot(root)


@both
def test_goes_on_where_it_was_interrupted(mode: Mode, root: Path, tmp_path: Path) -> None:
    before, out = snapshot(root), tmp_path / "out"

    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    photos = kept(root, sorted(before))
    with pytest.raises(KeyboardInterrupt):
        export(root, photos, out, mode, stop)
    assert exported(out).keys() == {"a/1.jpg", "a/2.jpg"}
    assert export(root, photos, out, mode).there == 2
    assert exported(out) == before


@posix
@pytest.mark.parametrize(("mode", "links"), [("hardlink", True), ("copy", True), ("copy", False)])
def test_stopped_before_each_step(
    links: bool, mode: Mode, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KeyboardInterrupt is not cleaned up after: what lies there is what a kill would leave."""
    before, photos = snapshot(root), kept(root, sorted(FILES))
    steps = ("open", "write", "link", "rename", "unlink", "mkdir", "utime", "fchmod")
    real = {name: getattr(os, name) for name in steps}
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug here
    for point in range(1, 1000):
        count = 0

        def step(name: str, *args: Any, stop: int = point, **words: Any) -> Any:
            nonlocal count
            count += 1
            if count == stop:
                if name == "write":
                    real[name](args[0], bytes(args[1])[:2])
                raise KeyboardInterrupt
            if name == "link" and not links:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
            return real[name](*args, **words)

        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            for name in steps:
                patch.setattr(os, name, partial(step, name))
            export(root, photos, tmp_path / str(point), mode)
        export(root, photos, tmp_path / str(point), mode)
        assert exported(tmp_path / str(point)) == before
        if count < point:
            break
    assert point > 20


@both
def test_another_file_in_its_place(mode: Mode, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(root, kept(root, ["a/1.jpg"]), out, mode)
    (out / "a/1.jpg").unlink()
    (out / "a/1.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"out: holds another a/1.jpg"):
        export(root, kept(root, ["a/1.jpg", "a/2.jpg"]), out, mode)
    assert (out / "a/1.jpg").read_bytes() == b"mine"


@both
def test_what_an_export_before_kept_and_this_one_does_not(mode: Mode, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(root, kept(root, ["a/1.jpg", "a/2.jpg"]), out, mode)
    with pytest.raises(UserError, match=r"holds what is not to be exported, such as a/2.jpg \(1 in all\)"):
        export(root, kept(root, ["a/1.jpg", "b/1.jpg"]), out, mode)
    assert exported(out).keys() == {"a/1.jpg", "a/2.jpg"}


@both
@pytest.mark.parametrize("change", ["changed", "gone"])
def test_changed_since_the_scan(change: str, mode: Mode, root: Path, tmp_path: Path) -> None:
    photos, before = kept(root, FILES), snapshot(root)
    if change == "gone":
        (root / "a/2.jpg").unlink()
    else:
        (root / "a/2.jpg").write_bytes(b"owt")
    with pytest.raises(UserError, match=r"changed since the scan and left out: 1 of the photos \(a/2.jpg\)"):
        export(root, photos, tmp_path / "out", mode)
    assert exported(tmp_path / "out") == {path: before[path] for path in before if path != "a/2.jpg"}


def test_not_of_an_export(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", {"mine.txt": b"mine"})
    with pytest.raises(UserError, match="holds files that are not of an export"):
        export(root, kept(root, FILES), tmp_path / "out", "copy")
    assert snapshot(tmp_path / "out").keys() == {"mine.txt"}


def test_of_another_collection(root: Path, tmp_path: Path) -> None:
    export(root, kept(root, ["a/1.jpg"]), tmp_path / "out", "copy")
    write(tmp_path / "second", {"a/1.jpg": b"one"})
    with pytest.raises(UserError, match=r"is the export of .*data, not of .*second"):
        export(tmp_path / "second", kept(root, ["a/1.jpg"]), tmp_path / "out", "copy")
    (tmp_path / "out" / MARKER).write_bytes(b"{")
    with pytest.raises(UserError, match="is no marker of an export"):
        export(root, kept(root, ["a/1.jpg"]), tmp_path / "out", "copy")


@pytest.mark.parametrize("place", ["data", "data/a", "data/new", "."])
def test_overlaps_the_collection(place: str, root: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    with pytest.raises(UserError, match="must lie outside of the collection"):
        export(root, kept(root, FILES), tmp_path / place, "copy")
    assert snapshot(tmp_path) == before


def test_no_such_mode_or_collection(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export_mode move: must be hardlink or copy"):
        export(root, [], tmp_path / "out", "move")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="the collection is not there"):
        export(tmp_path / "nowhere", [], tmp_path / "out", "copy")


@posix
def test_hard_links_do_not_cross_file_systems(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", on_its_own_disk(os.link, root))
    with pytest.raises(UserError, match="another file system, where hard links cannot lead; use export_mode copy"):
        export(root, kept(root, FILES), tmp_path / "out", "hardlink")
    assert export(root, kept(root, FILES), tmp_path / "out", "copy").written == len(FILES)


@posix
def test_a_second_file_system(root: Path, tmp_path: Path) -> None:
    out = Path("/dev/shm") / f"siamclip-export-test-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    try:
        with pytest.raises(UserError, match="use export_mode copy"):
            export(root, kept(root, FILES), out, "hardlink")
        export(root, kept(root, FILES), out, "copy")
        assert exported(out) == snapshot(root)
    finally:
        shutil.rmtree(out)


@posix
def test_a_full_disk(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ = os.write

    def full(file: int, data: Any) -> int:
        if bytes(data) == b"two":
            write_(file, b"t")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=r"a/2.jpg: cannot be written \(No space left on device\)"):
        export(root, kept(root, FILES), tmp_path / "out", "copy")
    assert exported(tmp_path / "out").keys() == {"a/1.jpg"}


@posix
def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    photos = kept(root, ["a/1.jpg"])
    (root / "a").rename(tmp_path / "outside")
    (root / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match=r"a/1.jpg: cannot be written \(a link to another folder\)"):
        export(root, photos, tmp_path / "out", "copy")


def test_keeps_what_is_not_removed(root: Path, tmp_path: Path) -> None:
    paths = [*FILES, "old.jpg", "unreadable.jpg"]
    removals = removals_of(root, FILES)
    photos = PhotoTable(
        root,
        paths,
        np.array([*(removal.content for removal in removals), "a" * 32, ""], "S32"),
        np.zeros(len(paths), np.int64),
        [""] * 6 + ["denied"],
        np.full(len(paths), NO_LABEL),
        [],
        archived=np.array([path == "old.jpg" for path in paths]),
    )
    chosen = kept_photos(photos, removals[1:3])
    assert [photo.path for photo in chosen] == ["a/1.jpg", "b/deep/er/3.jpg", "top.jpg", "unreadable.jpg"]
    summary = export(root, chosen, tmp_path / "out", "copy")
    assert (summary.written, summary.unreadable) == (3, ["unreadable.jpg"])
