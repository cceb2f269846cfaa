"""Masks: what is hidden, how much of it, and where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from torchvision.transforms import v2

from siamclip.augmentation.mask.grid_mask import grid, grid_mask
from siamclip.augmentation.mask.hide_and_seek import hide_and_seek
from siamclip.augmentation.mask.random_erasing import random_erasing
from siamclip.data.image.preprocess import CLIP_MEAN, Preprocessing
from siamclip.errors import UserError

MASKS = (random_erasing, grid_mask, hide_and_seek)


def white(number: int = 4, height: int = 24, width: int = 24) -> torch.Tensor:
    """Nothing hides in white: mean and black differ from it."""
    return torch.ones(number, 3, height, width)


def hidden(images: torch.Tensor) -> torch.Tensor:
    """bool (B, H, W) of what is no longer white."""
    return (images != 1).any(1)


@pytest.mark.parametrize("mask", MASKS)
def test_hidden_pixels_get_the_colour_that_was_asked_for(mask: object) -> None:
    def fills(fill: str) -> torch.Tensor:
        found: torch.Tensor = mask(white(), None, np.random.default_rng(2), fill=fill).images  # type: ignore[operator]
        where = hidden(found)
        assert 0 < where.sum() < where.numel()
        return found.permute(0, 2, 3, 1)[where]

    assert torch.equal(fills("mean"), torch.tensor(CLIP_MEAN).expand_as(fills("mean")))
    assert (fills("black") == 0).all()
    noise = fills("noise").flatten()
    assert 0.4 < noise.mean() < 0.6 and 0.25 < noise.std() < 0.33  # uniform: 1/2 and 0.289


def test_the_mean_colour_is_nothing_to_a_network() -> None:
    """A photo that is all hidden is zero once it is normalised."""
    found = hide_and_seek(white(1, 8, 8), None, np.random.default_rng(0), probability=1.0).images
    pixels = found.permute(0, 2, 3, 1) * 255
    assert Preprocessing(size=8).normalise(pixels).abs().max() < 1e-6


@pytest.mark.parametrize("mask", (random_erasing, grid_mask))
def test_photos_are_masked_with_the_given_probability_and_each_by_itself(mask: object) -> None:
    found = mask(white(600, 12, 12), None, np.random.default_rng(4), probability=0.3)  # type: ignore[operator]
    masked = hidden(found.images)
    number = int(masked.flatten(1).any(1).sum())
    assert binomtest(number, 600, 0.3).pvalue > 0.01
    assert len({where.numpy().tobytes() for where in masked}) > 50
    untouched = mask(white(), None, np.random.default_rng(4), probability=0.0)  # type: ignore[operator]
    assert torch.equal(untouched.images, white())


# -- random erasing ---------------------------------------------------------------------------------------------------


def test_erasing_equals_torchvisions() -> None:
    images = torch.rand(5, 3, 30, 22)
    for seed in range(20):
        found = random_erasing(images, None, np.random.default_rng(seed), fill="black").images
        rng = np.random.default_rng(seed)
        rng.random(5)  # which photos
        torch.manual_seed(int(rng.integers(2**63)))
        peer = v2.RandomErasing(p=1.0, scale=(0.02, 0.33), ratio=(1 / 3.3, 3.3))
        # p is asked for first: one number a photo, which ours does not draw there
        transform = [peer.transform(image, peer.make_params([image])) for image in images]
        assert torch.equal(found, torch.stack(transform))


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), smallest=st.floats(0.05, 0.3), more=st.floats(0, 0.3))
def test_one_rectangle_of_the_wanted_area(seed: int, smallest: float, more: float) -> None:
    found = random_erasing(
        white(3, 40, 50), None, np.random.default_rng(seed), smallest=smallest, largest=smallest + more, elongation=2.0
    )
    for where in hidden(found.images):
        rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert where.sum() == height * width, "it is a rectangle"
        # Sides are rounded: by half a pixel each.
        assert (height - 0.5) * (width - 0.5) <= (smallest + more) * 2000 <= 2000
        assert (height + 0.5) * (width + 0.5) >= smallest * 2000
        assert (height - 0.5) / (width + 0.5) <= 2 and (width - 0.5) / (height + 0.5) <= 2


def test_cutout_is_a_square_of_one_size() -> None:
    found = random_erasing(
        white(20, 32, 32), None, np.random.default_rng(0), smallest=0.25, largest=0.25, elongation=1.0
    )
    places = hidden(found.images)
    assert (places.sum((1, 2)) == 16 * 16).all()
    assert all(np.ptp(np.flatnonzero(where.any(1))) == 15 for where in places)


def test_ranges_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(UserError, match=r"random_erasing.smallest=0.5: must not lie above largest, 0.2"):
        random_erasing(white(), None, np.random.default_rng(0), smallest=0.5, largest=0.2)
    with pytest.raises(UserError, match=r"gridmask.smallest_unit=0.9: must not lie above largest_unit, 0.5"):
        grid_mask(white(), None, np.random.default_rng(0), smallest_unit=0.9, largest_unit=0.5)


# -- GridMask ---------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    unit=st.integers(2, 20),
    kept=st.floats(0, 1),
    top=st.integers(0, 30),
    left=st.integers(0, 30),
    units=st.integers(1, 4),
)
def test_the_grid_equals_a_loop_and_keeps_its_share(unit: int, kept: float, top: int, left: int, units: int) -> None:
    stays = round(kept * unit)
    found = grid(units * unit, 2 * units * unit, unit, stays, top, left)
    for y, x in np.ndindex(*found.shape):
        assert found[y, x] == ((y - top) % unit < unit - stays and (x - left) % unit < unit - stays)
    # Of whole units exactly 1 - (1 - r)^2 stays, wherever the grid begins: equation 1.
    assert 1 - found.mean() == pytest.approx(1 - (1 - stays / unit) ** 2)


@settings(max_examples=20)
@given(kept=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), seed=st.integers(0, 1000))
def test_the_kept_share_of_a_photo(kept: float, seed: int) -> None:
    """Units of 8 in 64 pixels: no part of a unit is cut off."""
    found = grid_mask(
        white(2, 64, 64), None, np.random.default_rng(seed), kept=kept, smallest_unit=0.125, largest_unit=0.125
    )
    assert 1 - hidden(found.images).float().mean((1, 2)).numpy() == pytest.approx(1 - (1 - kept) ** 2)


def test_units_are_drawn_between_their_bounds() -> None:
    found = grid_mask(white(300, 40, 40), None, np.random.default_rng(0), kept=0.5, smallest_unit=0.2, largest_unit=0.5)
    units = set()
    for where in hidden(found.images):
        rows = where.any(1).numpy().astype(int)
        starts = np.flatnonzero(np.diff(rows) == 1)
        if len(starts) > 1:
            units.add(int(starts[1] - starts[0]))
    assert min(units) == 8 and max(units) <= 20 and len(units) > 9


# -- Hide-and-Seek ----------------------------------------------------------------------------------------------------


def test_cells_are_hidden_whole_with_the_given_probability() -> None:
    found = hide_and_seek(white(400, 32, 48), None, np.random.default_rng(5), cells=4, probability=0.4)
    blocks = hidden(found.images).reshape(400, 4, 8, 4, 12)
    whole, some = blocks.all(4).all(2), blocks.any(4).any(2)
    assert torch.equal(whole, some), "a cell is hidden or not"
    for cell in whole.reshape(400, 16).T:
        assert binomtest(int(cell.sum()), 400, 0.4).pvalue > 1e-4
    assert binomtest(int(whole.sum()), whole.numel(), 0.4).pvalue > 0.01


@settings(max_examples=25)
@given(height=st.integers(5, 40), width=st.integers(5, 40), cells=st.integers(1, 5))
def test_cells_differ_by_a_pixel_where_a_side_cannot_be_divided(height: int, width: int, cells: int) -> None:
    generator = np.random.default_rng(height * 41 + width)
    where = hidden(hide_and_seek(white(1, height, width), None, generator, cells=cells).images)[0]
    bounds = [[-(-side * k // cells) for k in range(cells + 1)] for side in (height, width)]
    for top, bottom in zip(bounds[0], bounds[0][1:], strict=False):
        for left, right in zip(bounds[1], bounds[1][1:], strict=False):
            cell = where[top:bottom, left:right]
            assert cell.all() or not cell.any()
    assert all(np.ptp(np.diff(edges)) <= 1 for edges in bounds)


def test_the_ends_of_the_probability() -> None:
    assert torch.equal(hide_and_seek(white(), None, np.random.default_rng(0), probability=0.0).images, white())
    assert hidden(hide_and_seek(white(), None, np.random.default_rng(0), probability=1.0).images).all()
    with pytest.raises(UserError, match=r"hide_and_seek.cells=30: must be in \[1, 24\]"):
        hide_and_seek(white(), None, np.random.default_rng(0), cells=30)
