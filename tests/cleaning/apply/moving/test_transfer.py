"""Moving a file across file systems, onto full disks, and where there are no hard links: all of it or nothing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from siamclip.cleaning.apply.apply import apply
from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.run_folder import RunFolder
from siamclip.errors import UserError
from tests.cleaning.photo_trees import on_its_own_disk, removals_of, snapshot, write

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX file systems")


def as_if_far(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    for name in ("rename", "link"):
        monkeypatch.setattr(os, name, on_its_own_disk(getattr(os, name), root))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    folder = Path("/dev/shm") / f"siamclip-test-{os.getpid()}"
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_across_file_systems(root: Path, run: RunFolder, memory: Path) -> None:
    before = snapshot(root)
    removals = removals_of(root, ["a/1.jpg", "b/deep/er/3.jpg", "top.jpg"])
    assert apply(run, root, removals, quarantine=memory).moved == 3
    away = {path: file for path, file in snapshot(memory).items() if not path.startswith(".")}
    assert away == {removal.path: before[removal.path] for removal in removals}
    assert snapshot(root) == {path: before[path] for path in ("a/2.jpg", "b/1.jpg")}
    assert undo(run).returned == 3
    assert snapshot(root) == before
    assert list(memory.iterdir()) == []


@posix
def test_a_copy_that_came_out_wrong(
    root: Path, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write_ = snapshot(root), os.write
    as_if_far(monkeypatch, root)
    removals = removals_of(root, ["a/1.jpg"])
    monkeypatch.setattr(os, "write", lambda file, data: write_(file, b"eno" if bytes(data) == b"one" else data))
    with pytest.raises(UserError, match=r"a/1.jpg: changed"):
        apply(run, root, removals, quarantine=tmp_path / "far")
    assert snapshot(root) == before
    assert [path for path in snapshot(tmp_path / "far") if "quarantine" not in path] == []


@posix
def test_a_disk_that_fills_up(root: Path, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write_ = snapshot(root), os.write
    as_if_far(monkeypatch, root)
    removals = removals_of(root, ["a/1.jpg", "b/1.jpg", "top.jpg"])

    def full(file: int, data: Any) -> int:
        if bytes(data) == b"other one":
            write_(file, b"oth")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match="far: is full; make room and run apply again"):
        apply(run, root, removals, quarantine=tmp_path / "far")
    assert snapshot(root) == {path: before[path] for path in before if path != "a/1.jpg"}
    assert [path for path in snapshot(tmp_path / "far") if "quarantine" not in path] == ["a/1.jpg"]
    monkeypatch.setattr(os, "write", write_)
    assert apply(run, root, removals, quarantine=tmp_path / "far").moved == 2
    undo(run)
    assert snapshot(root) == before


@posix
def test_a_real_disk_that_fills_up(tmp_path: Path, run: RunFolder) -> None:
    root, small = tmp_path / "large", tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system")
    try:
        write(root, {f"a/{n}.jpg": bytes([n]) * 60_000 for n in range(8)})
        before, removals = snapshot(root), removals_of(root, [f"a/{n}.jpg" for n in range(8)])
        with pytest.raises(UserError, match="small: is full; make room"):
            apply(run, root, removals, quarantine=small)
        away = {path for path in snapshot(small) if not path.startswith(".")}
        assert 0 < len(away) < 8 and snapshot(root) == {path: before[path] for path in before if path not in away}
        assert {snapshot(small)[path] == before[path] for path in away} == {True}
        assert undo(run).returned == len(away)
        assert snapshot(root) == before
    finally:
        subprocess.run(["umount", str(small)], check=True)


@posix
def test_a_file_system_without_hard_links(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **words: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    before = snapshot(root)
    monkeypatch.setattr(os, "link", refuse)
    apply(run, root, removals_of(root, ["a/1.jpg", "top.jpg"]))
    (root / "top.jpg").write_bytes(b"new")
    summary = undo(run)
    assert (summary.returned, [path for path, _ in summary.problems]) == (1, ["top.jpg"])
    assert snapshot(root)["a/1.jpg"] == before["a/1.jpg"]
    assert (root / "top.jpg").read_bytes() == b"new"
