"""apply: the real thing on a tree of files, and exactly what is left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siamclip.cleaning.apply import apply as apply_module
from siamclip.cleaning.apply.apply import BATCH, apply
from siamclip.cleaning.apply.moving.journal import Keeper, Removal
from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.run_folder import RunFolder
from siamclip.errors import UserError
from tests.cleaning.photo_trees import FILES, NOT_UTF8, ODD_NAMES, contents, removals_of, snapshot, write

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX file systems")


def test_moves_these_and_nothing_else(root: Path, run: RunFolder) -> None:
    before = snapshot(root)
    going = ["a/1.jpg", "b/1.jpg", "b/deep/er/3.jpg", "top.jpg"]
    stages: list[tuple[str, int, int]] = []
    summary = apply(run, root, removals_of(root, going), progress=lambda *stage: stages.append(stage))
    assert (summary.moved, summary.bytes, summary.already) == (4, 3 + 9 + 5 + 0, 0)
    assert snapshot(root) == {"a/2.jpg": before["a/2.jpg"]}
    assert snapshot(run.quarantine) == {path: before[path] for path in going}
    assert (root / "b/deep/er").is_dir()  # folders of the collection stay
    assert stages == [("checking", n, 4) for n in (1, 2, 3, 4)] + [("moving", 4, 4)]


def test_more_than_a_batch(tmp_path: Path, run: RunFolder) -> None:
    root = tmp_path / "many"
    write(root, {f"{n % 3}/{n}.jpg": str(n).encode() for n in range(2 * BATCH + 1)})
    before = snapshot(root)
    assert apply(run, root, removals_of(root, before)).moved == 2 * BATCH + 1
    assert (snapshot(root), snapshot(run.quarantine)) == ({}, before)
    assert undo(run).returned == 2 * BATCH + 1
    assert snapshot(root) == before


@posix
def test_odd_names(tmp_path: Path, run: RunFolder) -> None:
    root = tmp_path / "odd"
    write(
        root,
        {
            f"{folder}/{name}": name.encode("utf-8", "surrogateescape")
            for folder in ("x", "y\n")
            for name in (*ODD_NAMES, NOT_UTF8)
        },
    )
    before = snapshot(root)
    apply(run, root, removals_of(root, before))
    assert (snapshot(root), snapshot(run.quarantine)) == ({}, before)
    undo(run)
    assert snapshot(root) == before


def test_again_finds_them_gone_already(root: Path, run: RunFolder) -> None:
    removals = removals_of(root, ["a/1.jpg", "b/1.jpg"])
    apply(run, root, removals[:1])
    summary = apply(run, root, removals)
    assert (summary.moved, summary.already) == (1, 1)
    assert apply(run, root, removals).already == 2


def grown(file: Path) -> None:
    file.write_bytes(b"more than it was")


def other_bytes(file: Path) -> None:
    status = file.stat()
    file.write_bytes(b"ONE")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))  # the same size and time


def missing_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("renamed"))


def a_link(file: Path) -> None:
    file.rename(file.with_name("moved.jpg"))
    file.symlink_to("moved.jpg")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def behind_a_link(file: Path) -> None:
    outside = file.parents[2] / "outside"
    file.parent.rename(outside)
    file.parent.symlink_to(outside)


def behind_a_link_inside(file: Path) -> None:
    file.parent.rename(file.parent.with_name("real"))
    file.parent.symlink_to("real")


CHANGES = {
    grown: "has changed",
    other_bytes: "has changed",
    Path.unlink: "is not there any more",
    missing_folder: "is not there any more",
    a_link: "a link to another file",
    a_folder: "not a regular file",
    a_pipe: "not a regular file",
    behind_a_link: "a link to another folder",
    behind_a_link_inside: "a link to another folder",
}


@posix
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_nothing_moves_where_one_photo_is_not_as_scanned(
    change: Callable[[Path], None], root: Path, run: RunFolder, tmp_path: Path
) -> None:
    removals = removals_of(root, ["b/1.jpg", "a/1.jpg"])
    change(root / "a/1.jpg")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(UserError) as error:
        apply(run, root, removals)
    assert f"1 photo is not as scanned (a/1.jpg: {CHANGES[change]}); nothing was moved" in str(error.value)
    assert {path: path.read_bytes() for path in files} == before
    assert not run.quarantine.exists()


@posix
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_copy_stays_where_its_keeper_is_not_as_scanned(
    change: Callable[[Path], None], root: Path, run: RunFolder
) -> None:
    removals, (seen,) = removals_of(root, ["b/1.jpg", "b/deep/er/3.jpg"]), removals_of(root, ["a/1.jpg"])
    keeper = Keeper(seen.path, seen.content, seen.bytes)
    change(root / "a/1.jpg")
    why = rf"1 photo is not as scanned \(a/1.jpg: kept for its copy b/1.jpg, {CHANGES[change]}\); nothing was moved"
    with pytest.raises(UserError, match=why):
        apply(run, root, removals, keepers={"b/1.jpg": [keeper], "b/deep/er/3.jpg": [keeper]})
    assert not run.quarantine.exists()


def test_a_keeper_that_is_as_scanned_stays(root: Path, run: RunFolder) -> None:
    removals, (seen,) = removals_of(root, ["b/1.jpg"]), removals_of(root, ["a/1.jpg"])
    assert apply(run, root, removals, keepers={"b/1.jpg": [Keeper(seen.path, seen.content, seen.bytes)]}).moved == 1
    assert (root / "a/1.jpg").read_bytes() == b"one"


def test_names_only_the_first_of_many(root: Path, run: RunFolder) -> None:
    removals = removals_of(root, FILES)
    shutil.rmtree(root / "a")
    shutil.rmtree(root / "b")
    with pytest.raises(UserError, match=r"4 photos are not as scanned \(a/1.jpg: .*; and 1 more\)"):
        apply(run, root, removals)


def test_a_newer_time_alone_is_no_change(root: Path, run: RunFolder) -> None:
    removals = removals_of(root, ["a/1.jpg"])
    os.utime(root / "a/1.jpg")
    assert apply(run, root, removals).moved == 1


@pytest.mark.parametrize("path", ["../data/a/1.jpg", "a/../b/1.jpg", "/etc/passwd", "", ".", "a//1.jpg", "a\0"])
def test_paths_that_could_lead_elsewhere(path: str, root: Path, run: RunFolder) -> None:
    before = snapshot(root)
    with pytest.raises(UserError, match="no path below the collection"):
        apply(run, root, [Removal(path, "0" * 32, 3, "", ())])
    assert snapshot(root) == before


def test_a_photo_cannot_go_twice(root: Path, run: RunFolder) -> None:
    with pytest.raises(ValueError, match="twice"):
        apply(run, root, removals_of(root, ["a/1.jpg"]) * 2)


def test_the_other_name_of_a_hard_link_stays(root: Path, run: RunFolder) -> None:
    (root / "b/linked.jpg").hardlink_to(root / "a/1.jpg")
    before = snapshot(root)
    apply(run, root, removals_of(root, ["a/1.jpg"]))
    assert (root / "b/linked.jpg").read_bytes() == b"one"
    undo(run)
    assert snapshot(root) == before
    assert (root / "b/linked.jpg").samefile(root / "a/1.jpg")


def test_a_name_that_is_taken_in_the_quarantine(root: Path, run: RunFolder) -> None:
    apply(run, root, removals_of(root, ["a/1.jpg", "top.jpg"]))
    (root / "top.jpg").mkdir()
    write(root, {"a/1.jpg": b"a new one", "top.jpg/x.jpg": b"in a folder that was a file"})
    apply(run, root, removals_of(root, ["a/1.jpg", "top.jpg/x.jpg"]))
    away = {path: content for path, (content, _, _) in snapshot(run.quarantine).items()}
    assert away == {
        "a/1.jpg": b"one",
        "top.jpg": b"",
        "again-2/a/1.jpg": b"a new one",
        "again-2/top.jpg/x.jpg": b"in a folder that was a file",
    }


def test_names_that_only_the_quarantine_takes_for_equal(
    root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a file system that ignores case: the name seemed free, and was not."""
    write(run.quarantine, {"a/1.jpg": b"somebody's"})
    monkeypatch.setattr(os.path, "lexists", lambda path: False)
    apply(run, root, removals_of(root, ["a/1.jpg", "a/2.jpg"]))
    away = {path: content for path, (content, _, _) in snapshot(run.quarantine).items()}
    assert away == {"a/1.jpg": b"somebody's", "again-2/a/1.jpg": b"one", "a/2.jpg": b"two"}
    undo(run)
    assert contents(root) == dict.fromkeys(FILES.values(), 1)


# -- while apply is at work -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [grown, Path.unlink, a_folder])
def test_a_photo_that_changes_after_the_check(change: Callable[[Path], None], root: Path, run: RunFolder) -> None:
    before = snapshot(root)

    def meddle(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("checking", total):
            change(root / "b/1.jpg")

    with pytest.raises(UserError, match=r"b/1.jpg: changed while apply was at work, .* 1 photo is in the quarantine"):
        apply(run, root, removals_of(root, ["a/1.jpg", "b/1.jpg", "b/deep/er/3.jpg"]), progress=meddle)
    assert snapshot(run.quarantine) == {"a/1.jpg": before["a/1.jpg"]}
    after = snapshot(root)
    assert {path: after[path] for path in ("a/2.jpg", "b/deep/er/3.jpg", "top.jpg")} == {
        path: before[path] for path in ("a/2.jpg", "b/deep/er/3.jpg", "top.jpg")
    }
    assert undo(run).problems == []
    assert snapshot(root)["a/1.jpg"] == before["a/1.jpg"]


@posix
def test_a_version_saved_in_the_last_moment_stays(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look at the file and its rename an editor replaces it."""
    rename = os.rename

    def late(source: Any, target: Any, **words: Any) -> None:
        monkeypatch.setattr(os, "rename", rename)
        (root / "a/new").write_bytes(b"a new version")
        (root / "a/new").rename(root / "a/1.jpg")
        rename(source, target, **words)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(UserError, match="changed while apply was at work"):
        apply(run, root, removals_of(root, ["a/1.jpg"]))
    assert (root / "a/1.jpg").read_bytes() == b"a new version"
    assert snapshot(run.quarantine) == {}


@posix
@pytest.mark.parametrize(("number", "said"), [(errno.EACCES, "cannot be moved"), (errno.EROFS, "cannot be moved")])
def test_a_folder_that_cannot_be_written(
    number: int, said: str, root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the system's answer is given here by hand."""
    before, rename = snapshot(root), os.rename

    def refuse(source: Any, target: Any, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if os.path.samestat(os.fstat(src_dir_fd), (root / "b").stat()):
            raise OSError(number, os.strerror(number))
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    removals = removals_of(root, ["a/1.jpg", "b/1.jpg", "top.jpg"])
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(UserError, match=rf"b/1.jpg: {said} \({os.strerror(number)}\); .* undo brings back"):
        apply(run, root, removals)
    assert snapshot(root) == {path: before[path] for path in before if path != "a/1.jpg"}
    assert snapshot(run.quarantine) == {"a/1.jpg": before["a/1.jpg"]}
    monkeypatch.setattr(os, "rename", rename)
    summary = apply(run, root, removals)
    assert (summary.moved, summary.already) == (2, 1)
    assert undo(run, last=True).returned == 3  # one round, although it took two commands
    assert snapshot(root) == before


# -- the quarantine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "sub", "a/deep"])
def test_a_quarantine_inside_of_the_collection(place: str, root: Path, run: RunFolder) -> None:
    with pytest.raises(UserError, match="must lie outside of the collection"):
        apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=root / place)
    assert (root / "a/1.jpg").exists() and not (root / "sub").exists()


def test_a_quarantine_around_the_collection(root: Path, run: RunFolder) -> None:
    with pytest.raises(UserError, match="must lie outside of the collection"):
        apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=root.parent)


@posix
def test_a_quarantine_that_is_a_link_into_the_collection(root: Path, run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "outside").symlink_to(root)
    with pytest.raises(UserError, match="must lie outside of the collection"):
        apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=tmp_path / "outside")


def test_a_quarantine_with_other_files(root: Path, run: RunFolder, tmp_path: Path) -> None:
    write(tmp_path / "full", {"mine.txt": b"mine"})
    with pytest.raises(UserError, match="holds files that are not of this run"):
        apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=tmp_path / "full")
    shared = tmp_path / "shared"
    apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=shared)
    apply(run, root, removals_of(root, ["a/2.jpg"]), quarantine=shared)
    with pytest.raises(UserError, match="holds files that are not of this run"):
        apply(RunFolder(tmp_path / "other"), root, removals_of(root, ["b/1.jpg"]), quarantine=shared)
    assert undo(run).returned == 2
    assert list(shared.iterdir()) == []


def test_a_quarantine_that_cannot_be_made(root: Path, run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"file/sub: .*cannot be (used|made)"):
        apply(run, root, removals_of(root, ["a/1.jpg"]), quarantine=tmp_path / "file" / "sub")
    assert (root / "a/1.jpg").exists()


def test_no_collection(tmp_path: Path, run: RunFolder) -> None:
    with pytest.raises(UserError, match="the collection is not there"):
        apply(run, tmp_path / "nowhere", [])


def test_interrupted_in_the_middle(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after a rename and before the journal knows of it."""
    before, take = snapshot(root), apply_module.take

    def stop(*args: Any) -> None:
        take(*args)
        raise KeyboardInterrupt

    removals = removals_of(root, ["a/1.jpg", "b/1.jpg"])
    monkeypatch.setattr(apply_module, "take", stop)
    with pytest.raises(KeyboardInterrupt):
        apply(run, root, removals)
    monkeypatch.setattr(apply_module, "take", take)
    summary = apply(run, root, removals)
    assert (summary.moved, summary.already) == (1, 1)
    assert undo(run).returned == 2
    assert snapshot(root) == before
