"""A training of a diffusion model that was killed, at any moment, ends with the weights of one that was not."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline

import augment
import config_augment
from siamclip.diffusion.training import loop as training
from siamclip.diffusion.training.architecture import make_scheduler
from siamclip.diffusion.training.run import output
from siamclip.errors import UserError
from siamclip.files import atomic
from siamclip.models import checkpoint
from tests.diffusion.training.tiny_ddpm import (
    EVERY_STEP,
    SHORT,
    SIZE,
    TINY,
    Killed,
    assert_same_model,
    collection,
    killing,
    metadata,
    run,
    stored,
    tiny_unet,
)

pytestmark = pytest.mark.usefixtures("tiny_preset")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Photos, and a training on them that nothing disturbed."""
    root = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(config_augment.DDPM_PRESETS, "small", TINY)
        run(collection(root / "photos"), root / "out")
    return root / "photos", root / "out"


@pytest.mark.parametrize("steps", [1, 4])
def test_killed_between_saves(
    steps: int, straight: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was saved at its beginning only, or after each step."""
    photos, expected = straight
    minutes = EVERY_STEP if steps == 4 else "10"
    with monkeypatch.context() as patch:
        killing(patch, training, "noise_loss", steps, Killed())
        with pytest.raises(Killed):
            run(photos, tmp_path / "out", "--save_every_minutes", minutes)
    assert metadata(tmp_path / "out")["step"] == (4 if steps == 4 else 0)
    run(photos, tmp_path / "out", "--resume")
    assert_same_model(tmp_path / "out", expected)


@pytest.mark.parametrize("writes", [5, 11, 13, 16, 20])
def test_killed_while_it_saves(
    writes: int, straight: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save writes four files of the state and five of the model; what is on the disk is always a whole model."""
    photos, expected = straight
    written = iter(range(writes))

    def write(path: Path, content: bytes) -> None:
        if next(written, None) is None:
            raise Killed
        write_whole(path, content)

    write_whole = atomic.write_atomically
    with monkeypatch.context() as patch:
        for module in (checkpoint, output):
            patch.setattr(module, "write_atomically", write)
        with pytest.raises(Killed):
            run(photos, tmp_path / "out", "--save_every_minutes", EVERY_STEP)
    if (tmp_path / "out" / "model_index.json").exists():
        DDPMPipeline.from_pretrained(tmp_path / "out")
    run(photos, tmp_path / "out", "--resume")
    assert_same_model(tmp_path / "out", expected)


def test_killed_between_the_last_state_and_the_model(
    straight: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, expected = straight
    with monkeypatch.context() as patch:
        killing(patch, output, "write_pipeline", 1, Killed())
        with pytest.raises(Killed):
            run(photos, tmp_path / "out")
    assert metadata(tmp_path / "out")["step"] == 6
    run(photos, tmp_path / "out", "--resume")
    assert_same_model(tmp_path / "out", expected)


def test_disk_full(straight: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, expected = straight
    with monkeypatch.context() as patch:
        full = OSError(errno.ENOSPC, "No space left on device")
        killing(patch, checkpoint, "write_atomically", 6, full)
        with pytest.raises(UserError, match=r"out .*: cannot be written \(No space left on device\).*resume"):
            run(photos, tmp_path / "out", "--save_every_minutes", EVERY_STEP)
    run(photos, tmp_path / "out", "--resume")
    assert_same_model(tmp_path / "out", expected)


def test_going_on_needs_no_other_flag(straight: tuple[Path, Path], tmp_path: Path) -> None:
    photos, expected = straight
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, training, "noise_loss", 3, Killed())
        with pytest.raises(Killed):
            run(photos, tmp_path / "out", "--save_every_minutes", EVERY_STEP)
    assert augment.main(["train-ddpm", "--out", str(tmp_path / "out"), "--resume"]) == 0
    assert_same_model(tmp_path / "out", expected)


def test_nothing_is_left_to_train(
    straight: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, _ = straight
    run(photos, tmp_path / "out")
    before = stored(tmp_path / "out")
    capsys.readouterr()
    run(photos, tmp_path / "out", "--resume")
    assert "its 6 steps are done, nothing is left to train" in capsys.readouterr().out
    assert all(torch.equal(tensor, before[name]) for name, tensor in stored(tmp_path / "out").items())


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a process cannot be sent Ctrl-C there")
def test_ctrl_c_on_the_command_line(photos: Path, tmp_path: Path) -> None:
    DDPMPipeline(tiny_unet(), make_scheduler(1000, "linear")).save_pretrained(tmp_path / "first")
    out = tmp_path / "out"
    flags = ("--init_from", str(tmp_path / "first"), "--num_steps", "100000", "--sample_every", "1")
    command = [sys.executable, "augment.py", "train-ddpm", str(photos), "--out", str(out), *SHORT, *flags]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        while not (out / "samples" / "step-000002.png").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate()
    assert process.returncode == 130
    step = metadata(out)["step"]
    assert step >= 2
    assert f"step {step:,} is saved; to go on: the same command with --resume" in said
    assert "Traceback" not in errors
    assert DDPMPipeline.from_pretrained(out).unet.config["sample_size"] == SIZE


@pytest.mark.slow
def test_two_processes(photos: Path, tmp_path: Path) -> None:
    """As `accelerate launch` starts them where there are several GPUs; each takes half of a step's photos."""
    DDPMPipeline(tiny_unet(), make_scheduler(1000, "linear")).save_pretrained(tmp_path / "first")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--standalone"]
    flags = ("--init_from", str(tmp_path / "first"), "--learning_rate", "1e-2", "--clip_norm", "0")
    command = [*launch, "augment.py", "train-ddpm", str(photos), "--out", str(tmp_path / "out"), *SHORT, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("12 photos") == 1
    assert metadata(tmp_path / "out")["step"] == 6
    assert json.loads((tmp_path / "out" / "siamclip-ddpm.json").read_bytes())["photos_seen"] == 48
    with pytest.raises(UserError, match="resume: it was started with 2 processes, not 1"):
        run(photos, tmp_path / "out", *flags, "--resume")


def test_broken_photos_change_nothing_when_it_goes_on(photos: Path, tmp_path: Path) -> None:
    """Steps of one photo: some have none that can be read."""
    for i in range(12):
        (photos / f"broken{i}.jpg").write_bytes(b"no photo")
    flags = ("--batch_size", "1", "--num_steps", "16")
    run(photos, tmp_path / "straight", *flags)
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, training, "noise_loss", 4, Killed())
        with pytest.raises(Killed):
            run(photos, tmp_path / "out", *flags, "--save_every_minutes", EVERY_STEP)
    run(photos, tmp_path / "out", *flags, "--resume")
    assert_same_model(tmp_path / "out", tmp_path / "straight")
