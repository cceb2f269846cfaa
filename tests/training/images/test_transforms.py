"""Online augmentation, against torchvision's functions for one photo at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as peer

from siamclip.training.images.transforms import (
    OnlineAugmentation,
    adjust_brightness,
    adjust_contrast,
    crop_and_resize,
    erase_with_noise,
    flip,
    random_boxes,
)

OFF = OnlineAugmentation(0, 0, 0, 0, 0)


def photos(number: int = 3, side: int = 24, seed: int = 0) -> torch.Tensor:
    """uint8 (N, S, S, 3), coarse patches of any colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, (number, side // 4, side // 4, 3), dtype=np.uint8)
    return torch.from_numpy(coarse.repeat(4, axis=1).repeat(4, axis=2))


def channels_first(batch: torch.Tensor) -> torch.Tensor:
    return batch.permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "within"),
    [
        (adjust_brightness, peer.adjust_brightness, 1e-3),
        # torchvision's weight of red is 0.2989, the standard's 0.299
        (adjust_contrast, peer.adjust_contrast, 0.02),
    ],
)
@settings(max_examples=30)
@given(factors=st.lists(st.floats(0, 2), min_size=3, max_size=3))
def test_jitter_equals_torchvision(ours: object, theirs: object, within: float, factors: list[float]) -> None:
    batch = photos().float()
    found = ours(batch, np.array(factors))  # type: ignore[operator]
    for photo, changed, factor in zip(channels_first(batch), channels_first(found), factors, strict=True):
        expected = 255 * theirs(photo / 255, factor)  # type: ignore[operator]
        torch.testing.assert_close(changed, expected, atol=within, rtol=0)


def test_flip_mirrors_the_chosen_left_to_right() -> None:
    batch = photos().float()
    found = flip(batch, np.array([True, False, True]))
    assert torch.equal(channels_first(found)[0], peer.horizontal_flip(channels_first(batch)[0]))
    assert torch.equal(found[1], batch[1])
    assert not torch.equal(found[2], batch[2])


def test_the_whole_photo_cut_out_is_the_photo() -> None:
    batch = photos().float()
    found = crop_and_resize(batch, np.tile([0.0, 0.0, 1.0, 1.0], (3, 1)))
    torch.testing.assert_close(found, batch, atol=1e-3, rtol=0)


def test_a_crop_equals_torchvisions_resized_crop() -> None:
    batch = photos(side=32).float()
    # left, top, width, height in 32nds, each photo its own
    corners = np.array([[4, 8, 16, 24], [0, 0, 28, 20], [12, 2, 20, 30]])
    found = channels_first(crop_and_resize(batch, corners / 32))
    for photo, cropped, (left, top, width, height) in zip(channels_first(batch), found, corners.tolist(), strict=True):
        expected = peer.resized_crop(photo, top, left, height, width, [32, 32], antialias=False)
        # at the very edge it reads on into the photo, where torchvision repeats the crop's last pixel
        torch.testing.assert_close(cropped[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=0.01, rtol=0)


@given(st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_crops_lie_inside_and_cut_no_more_than_asked(largest_cut: float, seed: int) -> None:
    boxes = random_boxes(50, largest_cut, np.random.default_rng(seed))
    corner, size = boxes[:, :2], boxes[:, 2:]
    assert (corner >= 0).all() and (corner + size <= 1 + 1e-9).all()
    assert (size >= 1 - largest_cut).all() and (size <= 1).all()


def test_only_the_chosen_are_erased_and_only_a_rectangle() -> None:
    batch = torch.full((40, 32, 32, 3), -1.0)  # no colour that noise could have
    chosen = np.arange(40) % 2 == 0
    found = erase_with_noise(batch, chosen, np.random.default_rng(0))
    assert (batch == -1).all()  # the input stays as it was
    for photo, was_chosen in zip(found, chosen, strict=True):
        where = (photo != -1).all(dim=2)
        if not was_chosen:
            assert not where.any()
            continue
        rows, columns = where.any(dim=1), where.any(dim=0)
        assert torch.equal(where, rows[:, None] & columns[None, :])
        height, width = int(rows.sum()), int(columns.sum())
        # 2% to 20% of the area, each side rounded to whole pixels
        assert (height + 0.5) * (width + 0.5) >= 0.02 * 1024 and (height - 0.5) * (width - 0.5) <= 0.2 * 1024
        assert photo[where].min() >= 0 and photo[where].max() <= 255


def test_strengths_of_0_change_nothing_and_draw_nothing() -> None:
    rng = np.random.default_rng(0)
    found = OFF(photos(), rng)
    assert found.dtype == torch.float32
    assert torch.equal(found, photos().float())
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize(
    "switched_on",
    [
        {"flip_probability": 0.5},
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"random_crop": 0.3},
        {"random_erasing": 0.5},
    ],
)
def test_each_strength_does_something_and_the_same_under_a_seed(switched_on: dict[str, float]) -> None:
    augment = OnlineAugmentation(**dict.fromkeys(OFF.__dict__, 0.0) | switched_on)
    batch = photos(8)
    one, again, other = (augment(batch, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, batch.float())
    assert one.shape == batch.shape


def test_photos_of_a_batch_are_changed_apart() -> None:
    batch = photos(1).expand(16, -1, -1, -1)
    found = OnlineAugmentation()(batch, np.random.default_rng(0))
    assert len({photo.numpy().tobytes() for photo in found}) == 16


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_the_result_stays_in_range(seed: int) -> None:
    augment = OnlineAugmentation(0.5, 1.0, 1.0, 0.5, 0.5)
    found = augment(photos(seed=seed), np.random.default_rng(seed))
    assert found.min() >= 0 and found.max() <= 255


def test_factors_are_drawn_from_one_less_to_one_more_than_the_strength() -> None:
    gray = torch.full((2000, 1, 1, 3), 100, dtype=torch.uint8)
    augment = OnlineAugmentation(0, 0.2, 0, 0, 0)
    factors = augment(gray, np.random.default_rng(0))[:, 0, 0, 0] / 100
    assert 0.8 <= factors.min() < 0.81 and 1.19 < factors.max() <= 1.2


def test_a_flip_comes_as_often_as_asked() -> None:
    left = torch.zeros((2000, 1, 2, 3), dtype=torch.uint8)
    left[:, :, 0] = 255
    flipped = OnlineAugmentation(0.3, 0, 0, 0, 0)(left, np.random.default_rng(0))[:, 0, 1, 0] == 255
    assert abs(flipped.float().mean().item() - 0.3) < 0.04  # four standard deviations
