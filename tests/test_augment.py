"""augment.py as a person runs it: photos in, fused images and their manifest out."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from config import load
from config_augment import AugmentFuseConfig
from siamclip.augmentation.commands import fuse as fuse_command
from siamclip.augmentation.method_table import MIXERS, MODES
from siamclip.augmentation.output.folder import read_manifest
from siamclip.augmentation.output.settings_file import FIRST_LINE
from siamclip.data.image.decode import decode
from tests.fusion_scenes import WITHIN, Scene, flags, hashed, make_scene, outcome, run

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


# -- what comes out ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fused(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with everything in it."""
    out = tmp_path_factory.mktemp("fused") / "out"
    before = hashed(scene.photos)
    assert run(flags(scene, out, across_classes=True, max_pairs=8, max_uses=5, copy_original=True, ratio=0.25)) == 0
    assert hashed(scene.photos) == before
    return out


def test_every_pair_has_an_image_of_every_mode(scene: Scene, fused: Path) -> None:
    rows = read_manifest(fused)
    pairs = {(row.first, row.second) for row in rows}
    assert len(pairs) == 8 and len(rows) == 8 * len(MODES)
    assert all(first < second and (scene.photos / first).is_file() for first, second in pairs)
    assert {row.method for row in rows} == set(MODES)
    for row in rows:
        kind = {1: "classes", 2: "cross_class"}[len({row.first.split("/")[0], row.second.split("/")[0]})]
        assert row.path.startswith(f"{kind}/" if not row.rejected else f"rejected/{row.rejected}/")
        assert row.path.endswith(f".{row.method}.png")
        image = decode(fused / row.path)
        width, height = Image.open(scene.photos / row.first).size
        assert image.shape[1] / image.shape[0] == pytest.approx(width / height, rel=0.05)  # sides of 16 are rounded
        assert min(image.shape[:2]) == 16
        assert row.settings["steps"] == 4 and row.seed == 42 and row.model == str(scene.model)
        assert set(row.scores) == {"similarity_first", "similarity_second", "sharpness"}
        assert 0.2 <= row.similarity <= 0.999


def test_soft_labels(fused: Path) -> None:
    rows = read_manifest(fused)
    assert any(len(row.soft_label) == 2 for row in rows) and any(len(row.soft_label) == 1 for row in rows)
    for row in rows:
        first, second = (path.split("/")[0] for path in (row.first, row.second))
        assert set(row.soft_label) <= {first, second} and sum(row.soft_label.values()) == pytest.approx(1)
        if row.method == "linear":
            assert row.ratio == 0.25
            assert row.soft_label == ({first: 0.25, second: 0.75} if first != second else {first: 1.0})


def test_what_lies_beside_the_images(scene: Scene, fused: Path) -> None:
    for photo in scene.photos.rglob("*.png"):
        copy = fused / "classes" / photo.relative_to(scene.photos)
        assert copy.read_bytes() == photo.read_bytes() and not copy.is_symlink()
    assert not list(fused.rglob("truncated*"))
    for name in ("contact_sheet.png", "similarities.png"):
        assert min(decode(fused / name).shape[:2]) > 100
    with (fused / "thresholds.csv").open(encoding="utf-8-sig", newline="") as file:
        thresholds = list(csv.DictReader(file))
    assert any(row["chosen"] == "True" and float(row["threshold"]) == 0.2 for row in thresholds)
    assert not list(fused.rglob("*.part")) and not (fused / ".names").exists()


def test_the_effective_settings_are_read_back(scene: Scene, fused: Path) -> None:
    for file in (fused.parent / "temp.yaml", fused / "settings.yaml"):
        assert file.read_text(encoding="utf-8").startswith(FIRST_LINE)
        config = load(AugmentFuseConfig, ["--config", str(file)])
        assert (config.ratio, config.steps, config.gate_similarity, config.across_classes) == (0.25, 4, -1, True)
        assert config.fusion_modes == tuple(MODES) and config.input_dir == str(scene.photos)
    before = outcome(fused)
    assert run(["fuse", "--config", str(fused / "settings.yaml")]) == 0
    assert outcome(fused) == before


def test_modes_with_commas_or_spaces_and_their_settings(scene: Scene, tmp_path: Path) -> None:
    for i, modes in enumerate(
        (("linear,layer_selective",), ("layer_selective", "linear"), ("layer_selective,linear,",))
    ):
        out = tmp_path / str(i)
        setting = "layer_selective.structure_weight=0.75"
        assert run(flags(scene, out, fusion_modes=modes, set=setting, max_pairs=2, sheet_rows=0)) == 0
        rows = read_manifest(out)
        assert len(rows) == 4 and {row.method for row in rows} == {"linear", "layer_selective"}
        for row in rows:
            assert row.settings.get("structure_weight") == (0.75 if row.method == "layer_selective" else None)
        assert not (out / "contact_sheet.png").exists()
    assert [row.path for row in read_manifest(tmp_path / "0")] == [row.path for row in read_manifest(tmp_path / "2")]


def test_what_the_gate_refuses_is_kept_apart_with_the_reason(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags(scene, tmp_path / "out", gate_similarity=0.999, gate_sharpness=0.0, max_pairs=2)) == 0
    rows = read_manifest(tmp_path / "out")
    assert rows and all(row.rejected in ("far_from_first", "far_from_second") for row in rows)
    assert all((tmp_path / "out" / "rejected" / row.rejected).is_dir() for row in rows)
    assert not (tmp_path / "out" / "classes").exists()
    shown = capsys.readouterr().out
    assert "far_from_first" in shown and "8 images" in shown and "python train.py --data_dir" in shown


def test_noise_maps_are_used_by_the_next_run(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, cache = tmp_path / "one", tmp_path / "maps"
    assert run(flags(scene, out, noise_cache=cache, max_pairs=3, fusion_modes="linear")) == 0
    inverted = re.search(r"(\d+) photos were inverted, the noise maps of 0", capsys.readouterr().out)
    assert inverted
    argv = flags(scene, tmp_path / "two", noise_cache=cache, max_pairs=3, fusion_modes="cross_fade", ratio=0.7)
    assert run(argv) == 0
    shown = capsys.readouterr().out
    assert f"0 photos were inverted, the noise maps of {inverted[1]} were in the cache" in " ".join(shown.split())


# -- photos that get in the way -------------------------------------------------------------------------------------


def test_a_photo_that_breaks_on_the_way_costs_its_pairs(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(scene.photos, photos)
    broken = photos / "京A12345" / "1.png"
    real: Callable[..., Any] = fuse_command.choose_pairs

    def chosen(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        assert any(broken.name in pair.first + pair.second for pair in found.pairs)
        broken.unlink()
        return found

    monkeypatch.setattr(fuse_command, "choose_pairs", chosen)
    assert run(flags(scene, tmp_path / "out", input_dir=photos)) == 1
    shown = capsys.readouterr().out
    assert "京A12345/1.png" in shown and "pairs that were left out" in shown
    rows = read_manifest(tmp_path / "out")
    assert rows and all("京A12345/1.png" not in (row.first, row.second) for row in rows)


# -- interrupted ------------------------------------------------------------------------------------------------------


def test_a_second_run_makes_nothing_again(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = flags(scene, tmp_path / "out", max_pairs=2)
    assert run(argv) == 0
    before = outcome(tmp_path / "out")
    capsys.readouterr()
    assert run(argv) == 0
    assert outcome(tmp_path / "out") == before
    assert "8 images are there already" in (shown := capsys.readouterr().out) and "0 images in" in shown


# The command in a process that kill -9 ends after a number of batches: while the rows of the next are not yet written.
KILLED = """
import os, signal, sys
import augment
from siamclip.augmentation.output.journal import OutputJournal

real, left = OutputJournal.append, int(sys.argv[1])

def append(self, rows):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    real(self, rows)

OutputJournal.append = append
sys.exit(augment.main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_kill_9_and_the_same_command_gives_what_an_undisturbed_run_gives(scene: Scene, tmp_path: Path) -> None:
    def arguments(out: Path) -> list[str]:
        caches = {"noise_cache": out.parent / "maps", "embedding_cache": out.parent / "embeddings"}
        return flags(scene, out, **caches)

    assert run(arguments(tmp_path / "whole" / "out")) == 0
    out = tmp_path / "killed" / "out"
    for batches in (2, 1):  # the second process goes on, and is killed too
        command = [sys.executable, "-c", KILLED, str(batches), *arguments(out)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        killed = subprocess.run(command, cwd=ROOT, capture_output=True, env=environment, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (out / "journal.jsonl").read_bytes().count(b"\n") == 3 * 4 < WITHIN * len(MODES)
    assert run(arguments(out)) == 0
    found, expected = outcome(out), outcome(tmp_path / "whole" / "out")
    for files, *_ in (found, expected):
        del files["settings.yaml"]  # which names the folder
    assert found == expected


def test_ctrl_c_leaves_a_manifest_and_says_how_to_go_on(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from siamclip.augmentation.output.folder import OutputFolder

    real = OutputFolder.write

    def write(self: OutputFolder, images: Any) -> None:
        real(self, images)
        raise KeyboardInterrupt

    monkeypatch.setattr(OutputFolder, "write", write)
    argv = flags(scene, tmp_path / "out", max_pairs=4)
    assert run(argv) == 130
    monkeypatch.undo()
    assert "4 images are in" in (shown := capsys.readouterr().out) and "same command" in shown
    assert len(read_manifest(tmp_path / "out")) == 4
    assert run(argv) == 0
    assert len(read_manifest(tmp_path / "out")) == 16


# -- the command line -------------------------------------------------------------------------------------------------


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, augment\n"
        "try: augment.main(['fuse', '--help'])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'diffusers', 'pyarrow', 'scipy', 'matplotlib', 'PIL'} & set(sys.modules), sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--similarity_threshold" in done.stdout


def test_methods_are_listed_with_their_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["methods"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*MODES, *MIXERS, "structure_weight=0.9"))
    assert run(["methods", "linear"]) == 2


def test_commands_that_are_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fusse"]) == 2
    assert "did you mean fuse?" in capsys.readouterr().err
    assert run([]) == 0
    assert "augment.py fuse" in capsys.readouterr().out


def test_settings_from_a_file_and_flags(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"ratio": 0.1, "max_pairs": 1, "fusion_modes": ["linear"]}))
    argv = flags(scene, tmp_path / "out", config=file, max_pairs=None, ratio=0.2)
    assert run(argv) == 0
    (row,) = read_manifest(tmp_path / "out")
    assert (row.method, row.ratio) == ("linear", pytest.approx(0.2))


def test_a_photo_that_breaks_before_costs_no_more_than_itself(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(scene.photos, photos)
    whole = (photos / "京A12345" / "1.png").read_bytes()
    (photos / "京A12345" / "broken.png").write_bytes(whole[: len(whole) // 2])
    assert run(flags(scene, tmp_path / "out", input_dir=photos)) == 1
    assert "京A12345/broken.png" in capsys.readouterr().out
    assert any((tmp_path / "out" / "classes").rglob("*.png"))
