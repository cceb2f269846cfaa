"""undo: the same bytes at the same places, and nothing written over."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siamclip.cleaning.apply import undo as undo_module
from siamclip.cleaning.apply.apply import apply
from siamclip.cleaning.apply.moving.journal import Journal, read_history
from siamclip.cleaning.apply.undo import undo
from siamclip.cleaning.run_folder import RunFolder
from siamclip.errors import UserError
from tests.cleaning.photo_trees import FILES, contents, removals_of, snapshot, write

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX file systems")


def test_all_rounds_or_the_last(root: Path, run: RunFolder) -> None:
    before = snapshot(root)
    apply(run, root, removals_of(root, ["a/1.jpg", "top.jpg"]))
    between = snapshot(root)
    apply(run, root, removals_of(root, ["a/2.jpg", "b/deep/er/3.jpg"]))
    assert undo(run, last=True).returned == 2
    assert snapshot(root) == between
    assert undo(run, last=True).returned == 2
    assert snapshot(root) == before
    for paths in (["a/1.jpg"], ["a/2.jpg"], ["b/1.jpg"]):
        apply(run, root, removals_of(root, paths))
    stages: list[tuple[str, int, int]] = []
    summary = undo(run, progress=lambda *stage: stages.append(stage))
    assert (summary.returned, summary.bytes, summary.problems) == (3, 15, [])
    assert snapshot(root) == before
    assert stages == [("bringing back", 3, 3)]
    assert undo(run).returned == 0


def test_leaves_no_empty_quarantine_and_the_journal(root: Path, run: RunFolder) -> None:
    apply(run, root, removals_of(root, FILES))
    undo(run)
    assert not run.quarantine.exists()
    assert [move.state for move in read_history(run.journal).moves.values()] == ["in place"] * 5


def test_never_writes_over_a_file(root: Path, run: RunFolder) -> None:
    before = snapshot(root)
    apply(run, root, removals_of(root, ["a/1.jpg", "a/2.jpg", "b/1.jpg"]))
    (root / "a/1.jpg").write_bytes(b"a new one")
    summary = undo(run)
    assert (summary.returned, summary.problems) == (2, [("a/1.jpg", "another file lies at its place now")])
    assert (root / "a/1.jpg").read_bytes() == b"a new one"
    assert snapshot(run.quarantine) == {"a/1.jpg": before["a/1.jpg"]}
    (root / "a/1.jpg").unlink()
    assert undo(run).returned == 1
    assert snapshot(root) == before


@posix
def test_a_file_that_appears_in_the_last_moment(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    apply(run, root, removals_of(root, ["a/1.jpg"]))
    link = os.link

    def late(*args: Any, **words: Any) -> None:
        (root / "a/1.jpg").write_bytes(b"just saved")
        link(*args, **words)

    monkeypatch.setattr(os, "link", late)
    assert undo(run).problems == [("a/1.jpg", "another file lies at its place now")]
    assert (root / "a/1.jpg").read_bytes() == b"just saved"
    assert contents(run.quarantine) == {b"one": 1}


@posix
def test_a_link_at_its_place(root: Path, run: RunFolder, tmp_path: Path) -> None:
    apply(run, root, removals_of(root, ["a/1.jpg", "b/1.jpg"]))
    (root / "a/1.jpg").symlink_to("nowhere")
    (root / "b").rename(tmp_path / "outside")
    (root / "b").symlink_to(tmp_path / "outside")
    assert dict(undo(run).problems) == {
        "a/1.jpg": "another file lies at its place now",
        "b/1.jpg": "its folder cannot be entered: a link to another folder",
    }
    assert contents(run.quarantine) == {b"one": 1, b"other one": 1}
    assert not (tmp_path / "outside/1.jpg").exists()


def test_changed_or_gone_in_the_quarantine(root: Path, run: RunFolder) -> None:
    apply(run, root, removals_of(root, ["a/1.jpg", "a/2.jpg", "b/1.jpg"]))
    (run.quarantine / "a/1.jpg").write_bytes(b"eno")
    (run.quarantine / "b/1.jpg").unlink()
    summary = undo(run)
    assert summary.returned == 1
    assert dict(summary.problems) == {
        "a/1.jpg": "changed in the quarantine",
        "b/1.jpg": "is not in the quarantine any more",
    }
    assert not (root / "a/1.jpg").exists() and (root / "a/2.jpg").exists()


def test_makes_a_removed_folder_again(root: Path, run: RunFolder) -> None:
    before = snapshot(root)
    apply(run, root, removals_of(root, ["b/1.jpg", "b/deep/er/3.jpg"]))
    shutil.rmtree(root / "b")
    undo(run)
    assert snapshot(root) == before


def test_a_folder_became_a_file(root: Path, run: RunFolder) -> None:
    apply(run, root, removals_of(root, ["b/1.jpg", "b/deep/er/3.jpg"]))
    shutil.rmtree(root / "b")
    (root / "b").write_bytes(b"")
    summary = undo(run)
    assert summary.returned == 0
    assert {why for _, why in summary.problems} == {"its folder cannot be entered: Not a directory"}


def test_a_collection_that_moved(root: Path, run: RunFolder, tmp_path: Path) -> None:
    before = snapshot(root)
    apply(run, root, removals_of(root, ["a/1.jpg"]))
    root.rename(tmp_path / "moved")
    with pytest.raises(UserError, match="data: the collection is not there any more; mount it or move it back"):
        undo(run)
    root.mkdir()  # as the folder of a disk that is not mounted
    with pytest.raises(UserError, match="data: the collection's folder is empty; mount its disk, or make the folder a"):
        undo(run)
    root.rmdir()
    (tmp_path / "moved").rename(root)
    undo(run)
    assert snapshot(root) == before


def test_a_run_that_moved(root: Path, run: RunFolder, tmp_path: Path) -> None:
    before = snapshot(root)
    apply(run, root, removals_of(root, ["a/1.jpg"]))
    run.path.rename(tmp_path / "renamed")
    undo(RunFolder(tmp_path / "renamed"))
    assert snapshot(root) == before


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_quarantine_that_is_not_mounted(
    interrupted: bool, root: Path, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not found there must not count as lost."""
    before, disk, removals = snapshot(root), tmp_path / "disk", removals_of(root, ["a/1.jpg"])
    if interrupted:  # killed after the photo moved, before the journal knew
        monkeypatch.setattr(Journal, "mark", lambda *args: None)
    apply(run, root, removals, quarantine=disk)
    monkeypatch.undo()
    disk.rename(tmp_path / "unmounted")
    for make_mount_point in (False, True):
        if make_mount_point:
            disk.mkdir()
        with pytest.raises(UserError, match="disk: the quarantine is not there; mount it"):
            undo(run)
    if interrupted:
        with pytest.raises(UserError, match="disk: the quarantine is not there; mount it"):
            apply(run, root, removals, quarantine=disk)
    disk.rmdir()
    (tmp_path / "unmounted").rename(disk)
    undo(run)
    assert snapshot(root) == before


def test_nothing_was_applied(run: RunFolder) -> None:
    with pytest.raises(UserError, match="nothing was applied that could be undone"):
        undo(run)
    assert not run.path.exists()


def test_interrupted_in_the_middle(root: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before, put_back = snapshot(root), undo_module.put_back
    apply(run, root, removals_of(root, ["a/1.jpg", "b/1.jpg"]))

    def stop(*args: Any) -> None:
        put_back(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(undo_module, "put_back", stop)
    with pytest.raises(KeyboardInterrupt):
        undo(run)
    monkeypatch.setattr(undo_module, "put_back", put_back)
    assert undo(run).returned == 1
    assert snapshot(root) == before


def test_a_photo_that_others_took_while_it_was_under_way(root: Path, run: RunFolder) -> None:
    with Journal(run_journal(run)) as journal:
        journal.announce(journal.begin(root, None), [(removals_of(root, ["a/1.jpg"])[0], "a/1.jpg")])
    run.quarantine.mkdir()
    (root / "a/1.jpg").unlink()
    assert undo(run).problems == [("a/1.jpg", "is neither at its place nor in the quarantine")]


def run_journal(run: RunFolder) -> Path:
    run.path.mkdir()
    return run.journal


PATHS = st.sampled_from(["a/1", "a/2", "b/1", "b/c/1", "1"])
STEPS = st.one_of(
    st.tuples(st.just("apply"), st.sets(PATHS, min_size=1)),
    st.tuples(st.just("undo"), st.booleans()),
    st.tuples(st.just("save"), PATHS),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_happens_no_byte_is_lost(
    steps: list[tuple[str, Any]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos come, go and come back in any order: the collection and the quarantine hold all that there ever was."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nobody pulls the plug here
    folder = tmp_path_factory.mktemp("any")
    root, run = folder / "data", RunFolder(folder / "run")
    write(root, {"a/1": b"0", "b/c/1": b"0", "keep": b"keep"})
    expected = contents(root)
    for number, (step, what) in enumerate(steps):
        if step == "save" and not (root / what).exists():
            new = bytes([48 + number % 3])
            write(root, {what: new})
            expected[new] += 1
        elif step == "apply":
            apply(run, root, removals_of(root, sorted(path for path in what if (root / path).exists())))
        elif step == "undo" and run.journal.exists():
            undo(run, last=what)
        assert contents(root, run.quarantine) == expected
    shutil.rmtree(folder)
