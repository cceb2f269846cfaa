"""mixup and CutMix: torchvision's images and shares, with the parents told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torchvision.transforms import v2

from siamclip.augmentation.mix.batch import Mixed, soft_labels
from siamclip.augmentation.mix.methods.cutmix import cutmix
from siamclip.augmentation.mix.methods.mixup import mixup
from tests.augmentation.mix.test_contract import photos


@pytest.mark.parametrize(("ours", "theirs"), [(mixup, v2.MixUp), (cutmix, v2.CutMix)])
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.1, 3))
def test_images_and_labels_are_torchvisions(ours: object, theirs: object, seed: int, alpha: float) -> None:
    """The same ring of photos, the same seed: the same images and soft labels."""
    images, labels = photos(5, 20, 14), torch.tensor([0, 1, 2, 1, 3])
    mixed: Mixed = ours(images, None, np.random.default_rng(seed), alpha=alpha)  # type: ignore[operator]
    rng = np.random.default_rng(seed)
    order = torch.from_numpy(rng.permutation(5))
    torch.manual_seed(int(rng.integers(2**63)))
    expected_images, expected_labels = theirs(alpha=alpha, num_classes=4)(images[order], labels[order])  # type: ignore[operator]
    assert torch.equal(mixed.images[order], expected_images)
    torch.testing.assert_close(soft_labels(mixed, labels, 4)[order], expected_labels, atol=1e-6, rtol=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_share_of_cutmix_is_that_of_the_pixels(seed: int) -> None:
    number, height, width = 4, 15, 11
    levels = torch.arange(number, dtype=torch.float32) / number
    images = levels.view(-1, 1, 1, 1).expand(number, 3, height, width).contiguous()
    mixed = cutmix(images, None, np.random.default_rng(seed))
    own = (mixed.images[:, 0] == levels.view(-1, 1, 1)).sum((1, 2))
    from_partner = (mixed.images[:, 0] == levels[mixed.partner].view(-1, 1, 1)).sum((1, 2))
    assert (own + from_partner == height * width).all()
    torch.testing.assert_close(mixed.share, own / (height * width), atol=1e-6, rtol=0)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_mixup_is_a_blend_in_the_proportion_that_it_tells(seed: int) -> None:
    images = photos(4)
    mixed = mixup(images, None, np.random.default_rng(seed))
    share = mixed.share.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed.images, share * images + (1 - share) * images[mixed.partner], atol=1e-6, rtol=0)


def test_the_shares_of_mixup_have_the_beta_distribution() -> None:
    images, rng = torch.zeros(2, 3, 1, 1), np.random.default_rng(8)
    shares = [mixup(images, None, rng, alpha=0.7).share[0].item() for _ in range(1500)]
    assert kstest(shares, "beta", (0.7, 0.7)).pvalue > 0.01
    assert kstest(shares, "uniform").pvalue < 0.01


def test_every_photo_is_once_a_partner() -> None:
    rings = set()
    for seed in range(30):
        partner = mixup(photos(4), None, np.random.default_rng(seed)).partner.tolist()
        assert sorted(partner) == [0, 1, 2, 3]
        rings.add(tuple(partner))
    assert len(rings) == 6, "all rings of four photos come up"
