from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.fusion.modes.feature_selective import feature_selective
from siamclip.errors import UserError

LEVEL = torch.linspace(1, 0.5, 3)


def stacks(seed: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn((2, 2, 3, 2, side, side), generator=generator, dtype=torch.float64)
    return first, second


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([3, 5, 7]))
def test_a_window_compares_the_mean_square_around_an_entry(seed: int, side: int, window: int) -> None:
    first, second = stacks(seed, side)
    weight = feature_selective(first, second, 0.5, LEVEL, window=window)
    reach = window // 2
    for b in range(2):
        for y in range(side):
            for x in range(side):
                rows, columns = slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1)
                one, two = (stack[b, 1:, :, rows, columns].square().mean() for stack in (first, second))
                assert (weight[b, :, :, y, x] == float(one > two)).all()
    assert torch.equal(weight, 1 - feature_selective(second, first, 0.5, LEVEL, window=window))


@pytest.mark.parametrize("window", [-1, 0, 2, 8])
def test_a_window_has_a_middle(window: int) -> None:
    first, second = stacks(0, 4)
    with pytest.raises(UserError, match=rf"^set feature_selective.window={window}: must be odd and at least 1$"):
        feature_selective(first, second, 0.5, LEVEL, window=window)
