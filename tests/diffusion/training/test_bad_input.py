"""`augment.py train-ddpm` with photos, folders and settings that are wrong."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline

from siamclip.diffusion.training import loop as training
from siamclip.diffusion.training.run.state import FOLDER
from siamclip.errors import UserError
from siamclip.models import checkpoint
from tests.diffusion.training.tiny_ddpm import EVERY_STEP, collection, metadata, run, stored
from tests.hostile import UNREADABLE

pytestmark = pytest.mark.usefixtures("tiny_preset")


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


def test_no_photo_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "photos" / name).write_bytes(b"no photo")
    with pytest.raises(UserError, match=r"data .*: no photo can be read, such as .*[ab]\.jpg"):
        run(tmp_path / "photos", tmp_path / "out")


# -- what is wrong with the settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--image_size", "33"), "image_size 33: .* multiple of 2, such as 32"),
        (("--precision", "fp16"), "precision fp16: CPUs"),
        (("--init_from", "nowhere"), "init_from nowhere"),
        (("--device", "cuda:99"), "device cuda:99: not available"),
        (("--resume",), "resume: out .* holds no training that can go on"),
        (("--ema_decay", "1"), "ema_decay 1.0: must be"),
        (("--num_steps", "0"), "num_steps 0: must be"),
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
    with pytest.raises(UserError, match=r"out .*: must be a new or an empty folder"):
        run(photos, out)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match=r"out .*mine\.txt: must be a new or an empty folder"):
        run(photos, out / "mine.txt")
    run(photos, tmp_path / "done")
    with pytest.raises(UserError, match=r"out .*done: holds a training; go on with resume"):
        run(photos, tmp_path / "done")


def test_what_may_not_change(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out, "--no-flip")
    for flags, message in (
        (("--learning_rate", "1"), "learning_rate 1.0: cannot change on resume, it was 0.0002"),
        (("--flip",), "flip True: cannot change on resume, it was False"),
        (("--preset", "large"), "preset large: cannot change on resume, it was small"),
    ):
        with pytest.raises(UserError, match=message):
            run(photos, out, "--resume", *flags)
    collection(photos / "more", 1)
    with pytest.raises(UserError, match=r"resume: photos of .* were added, removed, renamed or changed"):
        run(photos, out, "--resume", "--no-flip")


def test_a_damaged_state(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out)
    file = next((out / FOLDER).glob("ema-*.safetensors"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match=r"resume: what .*out saved is damaged \(.*ema-.*: is damaged"):
        run(photos, out, "--resume")
    file.write_bytes(content)
    (out / FOLDER / checkpoint.METADATA).write_text('{"format": 1}')
    with pytest.raises(UserError, match=r"resume: what .*out saved is damaged \(metadata.json has no config"):
        run(photos, out, "--resume")


def test_a_loss_that_is_not_finite(photos: Path, tmp_path: Path) -> None:
    flags = ("--learning_rate", "1e30", "--warmup_steps", "0", "--clip_norm", "0", "--precision", "fp32")
    with pytest.raises(UserError, match=r"learning_rate 1e\+30: .* at step \d+; lower it, or set precision fp32"):
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
    with pytest.raises(UserError, match=r"learning_rate .*: the weights are no longer finite"):
        run(photos, tmp_path / "out", "--num_steps", "1", "--clip_norm", "0")
    assert metadata(tmp_path / "out")["step"] == 0
    assert all(torch.isfinite(tensor).all() for tensor in stored(tmp_path / "out").values())
