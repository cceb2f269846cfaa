"""Parameter groups, the schedule, and the interpolation of weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from siamclip.device import make_accelerator
from siamclip.learning_rate import learning_rate_factor
from siamclip.models.encoder import SiameseEncoder, create
from siamclip.models.layers import freeze, layer_of
from siamclip.training.optimisation import interpolate, make_optimizer, parameter_groups

CPU = torch.device("cpu")


@pytest.fixture
def encoder() -> Iterator[SiameseEncoder]:
    encoder = create("efficientnet-lite0", "random", image_size=64)
    yield encoder
    freeze(encoder, False, 0)


# -- parameter groups -----------------------------------------------------------------------------------------------


def test_each_parameter_is_in_one_group_with_its_layers_rate_and_its_kinds_decay(encoder: SiameseEncoder) -> None:
    groups = parameter_groups(encoder, 1e-3, 0.05, 0.5)
    found = {id(p): group for group in groups for p in group["params"]}
    named = dict(encoder.tower.named_parameters())
    assert len(found) == sum(len(group["params"]) for group in groups) == len(named)
    layers = layer_of(encoder.tower)
    top = max(layers.values())
    for name, parameter in named.items():
        group = found[id(parameter)]
        assert group["lr"] == pytest.approx(1e-3 * 0.5 ** (top - layers[name])), name
        is_matrix = name.endswith("weight") and "bn" not in name
        assert group["weight_decay"] == (0.05 if is_matrix else 0.0), name
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates) and rates[-1] == 1e-3


def test_without_layer_decay_there_is_one_rate(encoder: SiameseEncoder) -> None:
    assert {group["lr"] for group in parameter_groups(encoder, 1e-3, 0.05, 1.0)} == {1e-3}


def test_frozen_parameters_are_in_no_group(encoder: SiameseEncoder) -> None:
    frozen = freeze(encoder, True, 2)
    groups = parameter_groups(encoder, 1e-3, 0.05, 0.9)
    assert frozen > 0
    trained = sum(p.numel() for group in groups for p in group["params"])
    assert trained + frozen == sum(p.numel() for p in encoder.tower.parameters())


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_optimisers_by_name(name: str, kind: type[torch.optim.Optimizer]) -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = make_optimizer(name, [{"params": [parameter], "lr": 0.01, "weight_decay": 0.0}])
    assert type(optimizer) is kind
    parameter.square().sum().backward()
    optimizer.step()
    assert (parameter.detach().abs() < torch.tensor([1.0, 2.0])).all()
    if name == "sgd":
        assert (optimizer.defaults["momentum"], optimizer.defaults["nesterov"]) == (0.9, True)


def test_on_a_cpu_the_accelerator_casts_nothing() -> None:
    accelerator = make_accelerator(CPU, torch.bfloat16)
    assert accelerator.device == CPU
    assert accelerator.mixed_precision == "no"


# -- schedule -------------------------------------------------------------------------------------------------------

totals = st.integers(2, 500)


@given(totals, st.floats(0, 0.9), st.sampled_from(["cosine", "constant"]))
def test_the_rate_rises_and_then_never_rises_again(total: int, share: float, schedule: str) -> None:
    warmup = share * total
    factors = [learning_rate_factor(step, warmup, total, schedule) for step in range(total + 1)]
    assert all(0 <= factor <= 1 for factor in factors)
    peak = sum(step < warmup for step in range(total + 1))
    rise, fall = factors[:peak], factors[peak:]
    assert all(a < b for a, b in itertools.pairwise(rise))
    assert len(fall) == 0 or schedule == "cosine" or set(fall) == {1.0}
    assert all(a >= b for a, b in itertools.pairwise(fall))


@given(totals)
def test_a_cosine_without_warm_up_is_one_half_at_half_time_and_zero_at_the_end(half: int) -> None:
    factors = [learning_rate_factor(step, 0, 2 * half, "cosine") for step in (0, half, 2 * half, 3 * half)]
    assert factors == pytest.approx([1, 0.5, 0, 0], abs=1e-12)
    for step in range(half):  # symmetric about half time
        pair = (
            learning_rate_factor(step, 0, 2 * half, "cosine"),
            learning_rate_factor(2 * half - step, 0, 2 * half, "cosine"),
        )
        assert sum(pair) == pytest.approx(1)


def test_the_cosine_equals_torchs() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=37)
    for step in range(37):
        assert learning_rate_factor(10 + step, 10, 47, "cosine") == pytest.approx(peer.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        peer.step()


def test_the_warm_up_is_linear_and_starts_above_zero() -> None:
    factors = [learning_rate_factor(step, 4, 100, "cosine") for step in range(5)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_constant_stays() -> None:
    assert {learning_rate_factor(step, 3, 50, "constant") for step in range(3, 60)} == {1.0}


def test_a_warm_up_as_long_as_the_run() -> None:
    assert [learning_rate_factor(step, 3, 3, "cosine") for step in range(3)] == pytest.approx([0.25, 0.5, 0.75])
    assert learning_rate_factor(3, 3, 3, "cosine") == 1.0


# -- WiSE-FT --------------------------------------------------------------------------------------------------------


def states() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    pretrained, finetuned = (
        {
            "weight": torch.randn(3, 4, generator=generator),
            "half": torch.randn(5, generator=generator).bfloat16(),
            "num_batches_tracked": torch.tensor(count),
        }
        for count in (0, 7)
    )
    return pretrained, finetuned


def test_the_ends_of_the_interpolation_are_exact() -> None:
    pretrained, finetuned = states()
    for alpha, end in ((0.0, pretrained), (1.0, finetuned)):
        found = interpolate(pretrained, finetuned, alpha)
        for name in ("weight", "half"):
            assert torch.equal(found[name], end[name])
            assert found[name].dtype == end[name].dtype
        assert found["num_batches_tracked"] == 7


@given(st.floats(0, 1))
def test_between_them_it_is_linear(alpha: float) -> None:
    pretrained, finetuned = states()
    found = interpolate(pretrained, finetuned, alpha)["weight"]
    torch.testing.assert_close(found, (1 - alpha) * pretrained["weight"] + alpha * finetuned["weight"])


def test_neither_end_is_changed_or_shared() -> None:
    pretrained, finetuned = states()
    for tensor in interpolate(pretrained, finetuned, 1.0).values():
        tensor.zero_()
    again = states()
    assert all(torch.equal(pretrained[name], again[0][name]) for name in pretrained)
    assert all(torch.equal(finetuned[name], again[1][name]) for name in finetuned)
