"""`augment.py train-ddpm` as people run it, on a network that is learnt in seconds."""

from __future__ import annotations

import csv
import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import augment
import config_augment
from config_augment import AugmentTrainDdpmConfig
from siamclip import checkpoint
from siamclip.augmentation.ddpm import output, training
from siamclip.augmentation.ddpm.network import make_scheduler
from siamclip.augmentation.ddpm.state import FOLDER
from siamclip.errors import UserError
from siamclip.yaml_settings import read_yaml
from tests.augmentation.ddpm.tiny_ddpm import SIZE, TINY, collection, stored, tiny_unet
from tests.hostile import UNREADABLE

ROOT = Path(__file__).resolve().parents[3]
EVERY_STEP = "1e-9"  # minutes
SHORT = ("--num_steps", "6", "--batch_size", "4", "--warmup_steps", "2", "--sample_every", "0", "--device", "cpu")


@pytest.fixture(autouse=True)
def tiny_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config_augment.DDPM_PRESETS, "small", TINY)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return collection(tmp_path / "photos")


def run(photos: Path, out: Path, *flags: str) -> None:
    assert augment.main(["train-ddpm", str(photos), "--out", str(out), *SHORT, *flags]) == 0


def metadata(out: Path) -> dict[str, Any]:
    return checkpoint.read_metadata(out / FOLDER)


def assert_same_model(a: Path, b: Path) -> None:
    found, expected = stored(a), stored(b)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    for part in ("weights", "ema", "optimizer"):
        assert metadata(a)["files"][part]["xxh3"] == metadata(b)["files"][part]["xxh3"]


def scalars(out: Path, name: str) -> list[float]:
    board = EventAccumulator(str(out / "logs")).Reload()
    return [event.value for event in board.Scalars(name)]


# -- what it makes ----------------------------------------------------------------------------------------------------


def test_it_learns(photos: Path, tmp_path: Path) -> None:
    """Photos of one colour: a network that has learnt anything tells most of the noise."""
    flags = ("--num_steps", "90", "--batch_size", "16", "--learning_rate", "1e-2", "--ema_decay", "0.9")
    run(photos, tmp_path / "out", *flags, "--warmup_steps", "10", "--sample_every", "80")
    losses = scalars(tmp_path / "out", "loss")
    assert len(losses) == 9
    assert losses[0] > 0.7
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
    unet = DDPMPipeline.from_pretrained(tmp_path / "out").unet
    torch.manual_seed(0)
    x_0, noise = torch.rand(64, 3, 1, 1).expand(-1, -1, SIZE, SIZE) * 2 - 1, torch.randn(64, 3, SIZE, SIZE)
    timesteps = torch.full((64,), 500)
    with torch.no_grad():
        found = unet(make_scheduler(1000, "linear").add_noise(x_0, noise, timesteps), timesteps).sample
    assert ((found - noise) ** 2).mean() < 0.5  # the averaged weights, as they were stored


def test_what_is_written(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    out = tmp_path / "模型" / "out"
    run(photos, out, "--sample_every", "4", "--half", "--geometry", "pad", "--num_steps", "10")
    assert {path.name for path in out.iterdir()} == {
        "logs",
        "model_index.json",
        "samples",
        "scheduler",
        "settings.yaml",
        "siamclip-ddpm.json",
        "training",
        "unet",
    }
    assert {path.name for path in (out / "samples").iterdir()} == {f"step-{n:06}.png" for n in (4, 8, 10)}
    assert Image.open(out / "samples" / "step-000004.png").size == (4 * (SIZE + 2) + 2,) * 2
    assert {tensor.dtype for tensor in stored(out).values()} == {torch.float16}
    board = EventAccumulator(str(out / "logs")).Reload()
    assert set(board.Tags()["scalars"]) == {"loss", "learning_rate"}
    assert [event.step for event in board.Images("samples")] == [4, 8, 10]
    read_back = AugmentTrainDdpmConfig(**read_yaml(out / "settings.yaml", AugmentTrainDdpmConfig))
    assert (read_back.num_steps, read_back.half, read_back.geometry) == (10, True, "pad")
    known = json.loads((out / "siamclip-ddpm.json").read_bytes())
    assert (known["photos"], known["steps"], known["photos_seen"]) == (12, 10, 40)
    assert (known["preprocessing"]["geometry"], known["preprocessing"]["size"]) == ("pad", SIZE)
    assert str(tmp_path) not in json.dumps(known)  # a model is given away; where the photos lie is not
    assert "12 photos" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_learning_rate_rises_and_falls(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out", "--num_steps", "60", "--batch_size", "1", "--warmup_steps", "30")
    rates = scalars(tmp_path / "out", "learning_rate")
    assert rates[:3] == pytest.approx([2e-4 * step / 31 for step in (10, 20, 30)])
    assert rates[3:] == pytest.approx([2e-4 * (1 + np.cos(np.pi * (step - 31) / 30)) / 2 for step in (40, 50, 60)])


def test_a_seed_gives_a_model_whatever_reads_the_photos(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "a", "--num_workers", "1", "--cache_gb", "0")
    run(photos, tmp_path / "b", "--num_workers", "3")
    run(photos, tmp_path / "c", "--seed", "7")
    assert_same_model(tmp_path / "a", tmp_path / "b")
    assert any(not torch.equal(a, b) for a, b in zip(*(stored(tmp_path / x).values() for x in "ac"), strict=True))


def test_it_begins_with_a_model(photos: Path, tmp_path: Path) -> None:
    DDPMPipeline(tiny_unet(3), make_scheduler(300, "linear")).save_pretrained(tmp_path / "first")
    flags = ("--init_from", str(tmp_path / "first"), "--learning_rate", "1e-12")
    run(photos, tmp_path / "out", *flags)
    for found, expected in zip(stored(tmp_path / "out").values(), stored(tmp_path / "first").values(), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)
    assert len(DDPMPipeline.from_pretrained(tmp_path / "out").scheduler.betas) == 300


def test_a_compiled_network_is_stored_as_any_other(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced as for inductor, but not handed to a C++ compiler, which would take a minute."""
    flags = ("--precision", "fp32", "--num_steps", "3")
    run(photos, tmp_path / "plain", *flags)
    traced: list[Any] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        traced.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    run(photos, tmp_path / "compiled", *flags, "--compile")
    assert sum(node.op == "call_function" for graph in traced for node in graph.graph.nodes) > 100
    assert_same_model(tmp_path / "compiled", tmp_path / "plain")


# -- stopping and going on --------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Nothing that the training could handle."""


def killing(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: int, error: BaseException) -> None:
    """Let `owner.name` work `after` times and raise `error` from then on."""
    function: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(after))

    def call(*arguments: Any, **named: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return function(*arguments, **named)

    monkeypatch.setattr(owner, name, call)


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

    write_whole = checkpoint.write_atomically
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
        with pytest.raises(UserError, match=r"--out .*: cannot be written \(No space left on device\).*--resume"):
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
    with pytest.raises(UserError, match="--resume: it was started with 2 processes, not 1"):
        run(photos, tmp_path / "out", *flags, "--resume")


# -- what is wrong with the photos ------------------------------------------------------------------------------------


def test_photos_that_cannot_be_read(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = photos / "broken [red]"
    broken.mkdir()
    for factory in UNREADABLE.values():
        factory(broken)
    if os.name != "nt":  # where neither the name nor the link can be made
        (photos / os.fsdecode(b"\xff\n.jpg")).write_bytes(b"no photo")
        (photos / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    files = [path for path in photos.rglob("*") if path.suffix in (".jpg", ".png", ".webp", ".gif", ".bmp", ".tif")]
    unreadable = {str(path) for path in files if path.is_file() or path.is_symlink()} - {
        str(path) for path in photos.glob("京A*/*.png")
    }
    run(photos, tmp_path / "out", "--num_steps", "20")
    with (tmp_path / "out" / "skipped.csv").open(encoding="utf-8", errors="surrogatepass", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"] for row in rows} == unreadable
    assert len(rows) == len(unreadable)
    assert all(row["reason"] for row in rows)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert len(said) == 11
    assert said[-1] == f"left out: more photos, see {tmp_path / 'out' / 'skipped.csv'}"
    assert len(set(said)) == 11


def test_broken_photos_change_nothing_when_it_goes_on(photos: Path, tmp_path: Path) -> None:
    """Steps of one photo: some have none that can be read."""
    for i in range(12):
        (photos / f"broken{i}.jpg").write_bytes(b"no photo")
    flags = ("--batch_size", "1", "--num_steps", "24")
    run(photos, tmp_path / "straight", *flags)
    with pytest.MonkeyPatch.context() as patch:
        killing(patch, training, "noise_loss", 7, Killed())
        with pytest.raises(Killed):
            run(photos, tmp_path / "out", *flags, "--save_every_minutes", EVERY_STEP)
    run(photos, tmp_path / "out", *flags, "--resume")
    assert_same_model(tmp_path / "out", tmp_path / "straight")


def test_no_photo_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(b"no photo")
    with pytest.raises(UserError, match=r"--data .*: no photo can be read, such as .*[ab]\.jpg"):
        run(tmp_path / "photos", tmp_path / "out")


# -- what is wrong with the settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--image_size", "33"), "--image_size 33: .* multiple of 2, such as 32"),
        (("--precision", "fp16"), "--precision fp16: CPUs"),
        (("--init_from", "nowhere"), "--init_from nowhere"),
        (("--device", "cuda:99"), "--device cuda:99: not available"),
        (("--resume",), "--resume: --out .* holds no training that can go on"),
        (("--ema_decay", "1"), "--ema_decay 1.0: must be"),
        (("--num_steps", "0"), "--num_steps 0: must be"),
    ],
)
def test_refused_before_anything_is_written(flags: tuple[str, ...], message: str, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        run(photos, tmp_path / "out", *flags)
    assert not (tmp_path / "out").exists()


def test_output_that_holds_something(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match=r"--out .*: must be a new or an empty folder"):
        run(photos, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match=r"--out .*mine\.txt: must be a new or an empty folder"):
        run(photos, out / "mine.txt")
    run(photos, tmp_path / "done")
    with pytest.raises(UserError, match=r"--out .*done: holds a training; go on with --resume"):
        run(photos, tmp_path / "done")


def test_what_may_not_change(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out, "--no-flip")
    for flags, message in (
        (("--learning_rate", "1"), "--learning_rate 1.0: cannot change on --resume, it was 0.0002"),
        (("--flip",), "--flip True: cannot change on --resume, it was False"),
        (("--preset", "large"), "--preset large: cannot change on --resume, it was small"),
    ):
        with pytest.raises(UserError, match=message):
            run(photos, out, "--resume", *flags)
    collection(photos / "more", 1)
    with pytest.raises(UserError, match=r"--resume: photos of .* were added, removed, renamed or changed"):
        run(photos, out, "--resume", "--no-flip")


def test_a_damaged_state(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out)
    file = next((out / FOLDER).glob("ema-*.safetensors"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"--resume: what .*out saved is damaged \(.*ema-.*: is damaged"):
        run(photos, out, "--resume")
    file.write_bytes(content)
    (out / FOLDER / checkpoint.METADATA).write_text('{"format": 1}')
    with pytest.raises(UserError, match=r"--resume: what .*out saved is damaged \(metadata.json has no config"):
        run(photos, out, "--resume")


def test_a_loss_that_is_not_finite(photos: Path, tmp_path: Path) -> None:
    flags = ("--learning_rate", "1e30", "--warmup_steps", "0", "--clip_norm", "0", "--precision", "fp32")
    with pytest.raises(UserError, match=r"--learning_rate 1e\+30: .* at step \d+; lower it, or set --precision fp32"):
        run(photos, tmp_path / "out", *flags, "--num_steps", "50", "--save_every_minutes", EVERY_STEP)
    unet = DDPMPipeline.from_pretrained(tmp_path / "out").unet
    assert all(torch.isfinite(parameter).all() for parameter in unet.parameters())


def test_weights_that_are_not_finite_are_not_saved(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of 0 whose gradient is infinity times 0."""

    def loss(network: Any, scheduler: Any, pixels: torch.Tensor, precision: Any) -> torch.Tensor:
        return (0 * network(pixels, torch.zeros(len(pixels)), return_dict=False)[0].sum()).sqrt()

    monkeypatch.setattr(training, "noise_loss", loss)
    with pytest.raises(UserError, match=r"--learning_rate .*: the weights are no longer finite"):
        run(photos, tmp_path / "out", "--num_steps", "1", "--clip_norm", "0")
    assert metadata(tmp_path / "out")["step"] == 0
    assert all(torch.isfinite(tensor).all() for tensor in stored(tmp_path / "out").values())
