"""What holds for every method of mixing and masking, and for what training makes of them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.method_table import MIXERS, Mixer
from siamclip.augmentation.mix.batch import Mixed, soft_labels
from siamclip.errors import UserError
from siamclip.methods import keyword_arguments, load_target

ALL = pytest.mark.parametrize("mixer", MIXERS.values(), ids=list(MIXERS))


def photos(number: int, height: int = 24, width: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(seed))


def apply(mixer: Mixer, images: torch.Tensor, seed: int) -> Mixed:
    drawn = torch.randn(len(images), 6, generator=torch.Generator().manual_seed(9))
    features = drawn if "features" in mixer.needs else None
    result: Mixed = load_target(mixer.target)(images, features, np.random.default_rng(seed))
    return result


@ALL
@settings(max_examples=15)
@given(
    number=st.integers(1, 6),
    height=st.integers(8, 30),
    width=st.integers(8, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_batch_in_and_a_batch_out(mixer: Mixer, number: int, height: int, width: int, seed: int) -> None:
    images = photos(number, height, width)
    given_images, state = images.clone(), torch.get_rng_state()
    mixed = apply(mixer, images, seed)
    assert mixed.images.shape == images.shape and mixed.images.dtype == torch.float32
    assert mixed.images.min() >= 0 and mixed.images.max() <= 1
    assert mixed.partner.dtype == torch.int64 and mixed.share.dtype == torch.float32
    assert mixed.partner.shape == mixed.share.shape == (number,)
    assert mixed.share.min() >= 0 and mixed.share.max() <= 1
    assert set(mixed.partner.tolist()) <= set(range(number))
    assert mixed.layer is None
    own = mixed.partner == torch.arange(number)
    assert own.all() if not mixer.mixes_labels or number == 1 else not own.any()
    assert (mixed.share[own] == 1).all()
    assert torch.equal(images, given_images), "the batch that was given has changed"
    assert torch.equal(torch.get_rng_state(), state), "torch's own generator has moved"


@ALL
def test_the_generator_decides_everything(mixer: Mixer) -> None:
    images = photos(5)
    torch.manual_seed(1)
    once = apply(mixer, images, 7)
    torch.manual_seed(2)
    again, other = apply(mixer, images, 7), apply(mixer, images, 8)
    assert torch.equal(once.images, again.images)
    assert torch.equal(once.partner, again.partner) and torch.equal(once.share, again.share)
    assert not torch.equal(once.images, other.images)


@ALL
def test_nothing_of_an_image_comes_from_a_third_photo(mixer: Mixer) -> None:
    """Photos of one grey level each: every pixel of an image is one of its parents', between them, or hidden."""
    levels = torch.linspace(0, 1, 5)
    images = levels.view(-1, 1, 1, 1).expand(5, 3, 16, 16).contiguous()
    mixed = apply(mixer, images, 3)
    for image, own, partner in zip(mixed.images, levels, levels[mixed.partner], strict=True):
        low, high = min(own, partner) - 1e-6, max(own, partner) + 1e-6
        from_parents = (low <= image) & (image <= high)
        assert from_parents.all() if mixer.mixes_labels else from_parents.any()


@ALL
def test_every_setting_has_a_default_and_a_type(mixer: Mixer) -> None:
    for name, parameter in mixer.settings().items():
        assert parameter.default is not inspect.Parameter.empty, name
        assert parameter.annotation is not inspect.Parameter.empty, name
    assert mixer.does and (mixer.pairing is None or "features" in mixer.needs)
    if mixer.pairing:
        assert keyword_arguments(mixer.pairing).keys() <= mixer.settings().keys()


@ALL
def test_settings_outside_their_range_are_refused_by_their_name(mixer: Mixer) -> None:
    images = photos(3)
    features = torch.randn(3, 4) if "features" in mixer.needs else None
    for name, parameter in mixer.settings().items():
        if parameter.annotation not in (int, float):
            continue
        for value in (-1000.0, float("nan")):
            with pytest.raises(UserError, match=rf"set {mixer.name}\.{name}={value}: must "):
                load_target(mixer.target)(images, features, np.random.default_rng(0), **{name: value})


def test_methods_are_chosen_by_name() -> None:
    assert MIXERS.one("cutmix", "method").name == "cutmix"
    with pytest.raises(UserError, match="method cutmx: no such method; did you mean cutmix"):
        MIXERS.one("cutmx", "method")
    with pytest.raises(UserError, match="mix zzz: no such method; there are samplepairing, mixup"):
        MIXERS.one("zzz", "mix")


@settings(max_examples=25)
@given(
    shares=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6),
    data=st.data(),
)
def test_soft_labels_are_the_parents_in_proportion(shares: list[float], data: st.DataObject) -> None:
    number, classes = len(shares), 4
    draw_all = st.lists(st.integers(0, number - 1), min_size=number, max_size=number)
    partner = torch.tensor(data.draw(draw_all))
    labels = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=number, max_size=number)))
    mixed = Mixed(torch.zeros(number, 3, 1, 1), partner, torch.tensor(shares))
    found = soft_labels(mixed, labels, classes)
    expected = torch.zeros(number, classes, dtype=torch.float64)
    for i, share in enumerate(shares):
        expected[i, labels[i]] += share
        expected[i, labels[partner[i]]] += 1 - share
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.sum(1), torch.ones(number), atol=1e-6, rtol=0)
