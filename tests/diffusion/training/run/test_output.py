"""The model's folder, whole at any moment, and images drawn from a model."""

from __future__ import annotations

import errno
import json
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from siamclip.diffusion.training.architecture import make_scheduler
from siamclip.diffusion.training.run import output
from siamclip.diffusion.training.run.output import as_grid, sample_images, write_pipeline
from siamclip.errors import UserError
from tests.diffusion.training.tiny_ddpm import SIZE, stored, tiny_unet

SCHEDULER = make_scheduler(100, "linear")


def load(out: Path) -> DDPMPipeline:
    return DDPMPipeline.from_pretrained(out, local_files_only=True)


@pytest.mark.parametrize("half", [False, True])
def test_plain_diffusers_loads_it_into_fp32(half: bool, tmp_path: Path) -> None:
    expected = tiny_unet().state_dict()
    write_pipeline(tmp_path, tiny_unet(), SCHEDULER, half, {"photos": 3})
    assert {t.dtype for t in stored(tmp_path).values()} == {torch.float16 if half else torch.float32}
    pipeline = load(tmp_path)
    for name, parameter in pipeline.unet.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, expected[name].half().float() if half else expected[name])
    assert torch.equal(pipeline.scheduler.betas, SCHEDULER.betas)
    assert json.loads((tmp_path / output.PROVENANCE).read_bytes()) == {"photos": 3}
    images = pipeline(batch_size=2, num_inference_steps=2, output_type="np", generator=torch.manual_seed(0)).images
    assert images.shape == (2, SIZE, SIZE, 3)


def test_channels_last_is_stored_like_any(tmp_path: Path) -> None:
    unet = tiny_unet().to(memory_format=torch.channels_last)
    write_pipeline(tmp_path, unet, SCHEDULER, False, {})
    for name, tensor in stored(tmp_path).items():
        assert torch.equal(tensor, tiny_unet().state_dict()[name])


class Killed(BaseException):
    pass


def dying(after: int, error: BaseException) -> Any:
    """write_atomically which works `after` times."""
    write, calls = output.write_atomically, iter(range(after))

    def call(path: Path, content: bytes) -> None:
        if next(calls, None) is None:
            raise error
        write(path, content)

    return call


@pytest.mark.parametrize("after", range(5))
def test_a_kill_leaves_a_whole_model(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are five files: of the network, the schedule, the index, the provenance."""
    old, new = tiny_unet(0).state_dict(), tiny_unet(1).state_dict()
    write_pipeline(tmp_path, tiny_unet(0), SCHEDULER, False, {})
    monkeypatch.setattr(output, "write_atomically", dying(after, Killed()))
    with pytest.raises(Killed):
        write_pipeline(tmp_path, tiny_unet(1), SCHEDULER, False, {})
    monkeypatch.undo()
    found = load(tmp_path).unet.state_dict()
    assert any(all(torch.equal(found[name], one[name]) for name in one) for one in (old, new))
    write_pipeline(tmp_path, tiny_unet(1), SCHEDULER, False, {})
    assert all(torch.equal(tensor, new[name]) for name, tensor in load(tmp_path).unet.state_dict().items())
    assert not list(tmp_path.glob(".*"))


def test_a_first_model_that_was_not_finished_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "write_atomically", dying(3, Killed()))
    with pytest.raises(Killed):
        write_pipeline(tmp_path, tiny_unet(), SCHEDULER, False, {})
    assert not (tmp_path / "model_index.json").exists()


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "write_atomically", dying(1, OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(UserError, match=r"out .*: cannot be written .No space left on device.; .*resume"):
        write_pipeline(tmp_path, tiny_unet(), SCHEDULER, False, {})


def test_disk_full_for_the_weights(tmp_path: Path) -> None:
    """safetensors raises an error of its own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    unet = tiny_unet()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
        with pytest.raises(UserError, match=r"out .*: cannot be written .*make room"):
            write_pipeline(tmp_path, unet, SCHEDULER, False, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "model_index.json").exists()


class KnowsOneImage(torch.nn.Module):
    """The noise that a model would see which was trained on one image alone."""

    def __init__(self, image: torch.Tensor) -> None:
        super().__init__()
        self.image, self.config, self.device = image, {"sample_size": SIZE}, torch.device("cpu")

    def forward(self, x_t: torch.Tensor, t: torch.Tensor) -> Any:
        abar = SCHEDULER.alphas_cumprod[t]
        return SimpleNamespace(sample=(x_t - abar.sqrt() * self.image) / (1 - abar).sqrt())


def test_drawing_from_a_model_of_one_image_gives_it() -> None:
    image = torch.rand((3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)) * 2 - 1
    drawn = sample_images(KnowsOneImage(image), SCHEDULER, seed=0, number=3)  # type: ignore[arg-type]
    assert drawn.dtype == np.uint8
    expected = ((image.permute(1, 2, 0).numpy() + 1) * 127.5)[None]
    assert np.abs(drawn - expected).max() <= 1


def test_a_seed_draws_the_same_images() -> None:
    unet = tiny_unet().eval()
    first = sample_images(unet, SCHEDULER, seed=1, number=2)
    assert first.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_array_equal(first, sample_images(unet, SCHEDULER, seed=1, number=2))
    assert (first != sample_images(unet, SCHEDULER, seed=2, number=2)).any()


def test_fewer_training_steps_than_the_sampler_takes() -> None:
    assert sample_images(tiny_unet().eval(), make_scheduler(5, "linear"), seed=0, number=1).shape == (1, SIZE, SIZE, 3)


def test_grid() -> None:
    images = np.stack([np.full((4, 6, 3), 10 * i, np.uint8) for i in range(5)])
    sheet = as_grid(images, columns=2, gap=1)
    assert sheet.shape == (3 * 5 + 1, 2 * 7 + 1, 3)
    for i in range(5):
        top, left = 1 + i // 2 * 5, 1 + i % 2 * 7
        assert (sheet[top : top + 4, left : left + 6] == 10 * i).all()
    assert (sheet == 255).all(2).sum() == sheet.shape[0] * sheet.shape[1] - 5 * 24
