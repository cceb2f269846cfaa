"""The four modes, against loops over steps and entries, and the laws that fusing obeys."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamclip.augmentation.fusion.blend import blend
from siamclip.augmentation.method_table import MODES
from siamclip.diffusion.ddpm_inversion import generate, invert, steps_of_slots
from siamclip.diffusion.sampler_schedule import make_sampler_schedule
from siamclip.errors import UserError
from siamclip.methods import load_target
from tests.augmentation.fusion.tiny_models import ALPHAS_CUMPROD, random_predict

STEPS, SKIP = 10, 2  # with levels of exactly 0.7 and 0.3, where layer_selective's layers begin
SHAPE = (2, STEPS - SKIP + 1, 3, 4, 5)  # B, S, C, h, w
LEVEL = steps_of_slots(STEPS, SKIP).double() / STEPS

_seeds = st.integers(0, 2**32)
_ratios = st.floats(0, 1)


def _stack(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _fuse(mode: str, first: torch.Tensor, second: torch.Tensor, ratio: float, **settings: Any) -> torch.Tensor:
    weight = load_target(MODES[mode].target)(first, second, ratio, LEVEL.to(first), **settings)
    return blend(first, second, weight)


# -- each mode as the documents say it, one entry at a time ----------------------------------------------------


def _linear(a: float, b: float, ratio: float, level: float) -> float:
    return ratio * a + (1 - ratio) * b


def _cross_fade(a: float, b: float, ratio: float, level: float) -> float:
    f = ratio + (1 - ratio) * level
    return f * a + (1 - f) * b


def _feature_selective(a: float, b: float, ratio: float, level: float) -> float:
    return a if abs(a) > abs(b) else b


def _layer_selective(a: float, b: float, ratio: float, level: float) -> float:
    if level >= 0.7:
        return 0.9 * a + 0.1 * b
    if level < 0.3:
        return 0.1 * a + 0.9 * b
    return ratio * a + (1 - ratio) * b


NAIVE: dict[str, Callable[[float, float, float, float], float]] = {
    "linear": _linear,
    "cross_fade": _cross_fade,
    "feature_selective": _feature_selective,
    "layer_selective": _layer_selective,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mode_is_its_loop(mode: str, ratio: float, dtype: torch.dtype) -> None:
    first, second = _stack(1).to(dtype), _stack(2).to(dtype)
    expected = torch.empty_like(first)
    images, slots, channels, height, width = SHAPE
    for i in range(images):
        for slot in range(slots):
            t = STEPS - SKIP if slot == 0 else STEPS - SKIP - slot + 1
            for c in range(channels):
                for y in range(height):
                    for x in range(width):
                        place = i, slot, c, y, x
                        expected[place] = NAIVE[mode](first[place].item(), second[place].item(), ratio, t / STEPS)
    settings = {"window": 1} if mode == "feature_selective" else {}  # regions: see test_feature_selective.py
    torch.testing.assert_close(_fuse(mode, first, second, ratio, **settings), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@given(seed=_seeds, ratio=_ratios, images=st.integers(1, 3), slots=st.integers(1, 6), dtype=st.sampled_from(["f", "d"]))
def test_every_row_of_the_table_gives_weights(
    mode: str, seed: int, ratio: float, images: int, slots: int, dtype: str
) -> None:
    kind = {"f": torch.float32, "d": torch.float64}[dtype]
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randn((images, slots, 4, 3, 3), generator=generator, dtype=kind) for _ in range(2))
    level = steps_of_slots(max(1, slots - 1), 0)[:slots].to(kind) / max(1, slots - 1)
    kept = first.clone(), second.clone(), level.clone()
    weight = load_target(MODES[mode].target)(first, second, ratio, level)
    assert weight.expand(first.shape).shape == first.shape
    assert ((weight >= 0) & (weight <= 1)).all()
    assert all(torch.equal(a, b) for a, b in zip(kept, (first, second, level), strict=True))
    if slots > 1:  # a pair's weights are its own: the other pairs of its batch do not matter
        alone = load_target(MODES[mode].target)(first[:1], second[:1], ratio, level)
        assert torch.equal(alone.expand(first[:1].shape), weight.expand(first.shape)[:1])


@pytest.mark.parametrize("mode", MODES)
def test_a_row_says_what_it_takes(mode: str) -> None:
    row = MODES[mode]
    assert row.name == mode and row.does
    target = load_target(row.target)
    assert target.__name__ == mode and target.__doc__
    assert list(inspect.signature(target).parameters)[:4] == ["first", "second", "ratio", "level"]
    assert all(parameter.default is not parameter.empty for parameter in row.settings().values())


@given(first=_seeds, second=_seeds)
def test_linear_at_its_ends_is_one_of_the_two(first: int, second: int) -> None:
    one, two = _stack(first), _stack(second)
    assert torch.equal(_fuse("linear", one, two, 1.0), one)
    assert torch.equal(_fuse("linear", one, two, 0.0), two)


@given(first=_seeds, second=_seeds, ratio=_ratios)
def test_cross_fade_begins_with_the_first(first: int, second: int, ratio: float) -> None:
    one, two = _stack(first), _stack(second)
    assert torch.equal(_fuse("cross_fade", one, two, 1.0), one)
    level = torch.ones(SHAPE[1], dtype=one.dtype)  # t = T
    torch.testing.assert_close(
        blend(one, two, load_target(MODES["cross_fade"].target)(one, two, ratio, level)), one, rtol=0, atol=1e-12
    )


@given(first=_seeds, second=_seeds, ties=st.booleans())
def test_feature_selective_is_symmetric(first: int, second: int, ties: bool) -> None:
    one, two = _stack(first), _stack(second)
    if ties:
        two[:, :, 0] = one[:, :, 0]  # equal entries are no matter; opposite ones would be
    assert torch.equal(_fuse("feature_selective", one, two, 0.5), _fuse("feature_selective", two, one, 0.5))


def test_feature_selective_takes_the_second_of_opposite_entries() -> None:
    one = torch.full(SHAPE, 2.0)
    assert torch.equal(_fuse("feature_selective", one, -one, 0.5), -one)
    assert torch.equal(_fuse("feature_selective", -one, one, 0.5), one)


@pytest.mark.parametrize("mode", MODES)
@given(seed=_seeds, ratio=_ratios, keep_variance=st.booleans(), offset=st.sampled_from([0.0, 100.0]))
def test_a_stack_fused_with_itself_stays(
    mode: str, seed: int, ratio: float, keep_variance: bool, offset: float
) -> None:
    stack = _stack(seed) + offset
    stack[0, 1] = offset  # a map without any variance
    weight = load_target(MODES[mode].target)(stack, stack, ratio, LEVEL.to(stack))
    torch.testing.assert_close(blend(stack, stack, weight, keep_variance), stack, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("keep_variance", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_an_image_fused_with_itself_is_that_image(mode: str, keep_variance: bool) -> None:
    schedule = make_sampler_schedule(ALPHAS_CUMPROD, 20, 1.0, "epsilon", 1.0)
    predict = random_predict(0, torch.float64)
    x_0 = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1
    stack = invert(predict, x_0, schedule, 0, [1, 2])
    weight = load_target(MODES[mode].target)(stack, stack, 0.5, steps_of_slots(20, 0).to(stack) / 20)
    fused = generate(predict, blend(stack, stack, weight, keep_variance), schedule)
    assert (fused - x_0).abs().max() < 1e-6


@given(bounds=st.tuples(_ratios, _ratios), structure_weight=_ratios, texture_weight=_ratios, ratio=_ratios, seed=_seeds)
def test_layer_selective_has_three_layers(
    bounds: tuple[float, float], structure_weight: float, texture_weight: float, ratio: float, seed: int
) -> None:
    texture_until, structure_from = sorted(bounds)
    level = torch.rand(9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    level[:4] = torch.tensor([0.0, 1.0, texture_until, structure_from])
    stack = torch.zeros(1, 9, 3, 2, 2, dtype=torch.float64)
    weight = load_target(MODES["layer_selective"].target)(
        stack, stack, ratio, level, structure_from=structure_from, texture_until=texture_until,
        structure_weight=structure_weight, texture_weight=texture_weight,
    )  # fmt: skip
    for found, at in zip(weight.flatten().tolist(), level.tolist(), strict=True):
        if at < texture_until:
            assert found == texture_weight
        elif at >= structure_from:
            assert found == structure_weight
        else:
            assert found == ratio


@pytest.mark.parametrize("name", ["structure_from", "texture_until", "structure_weight", "texture_weight"])
@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_layer_selective_refuses_settings_outside(name: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"layer_selective\.{name}={value}.*\[0, 1\]"):
        _fuse("layer_selective", _stack(0), _stack(1), 0.5, **{name: value})


def test_layer_selective_refuses_bounds_in_the_wrong_order() -> None:
    with pytest.raises(UserError, match=r"texture_until=0\.8.*structure_from, 0\.7"):
        _fuse("layer_selective", _stack(0), _stack(1), 0.5, texture_until=0.8)
