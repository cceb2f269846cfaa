"""Mixing of training batches: when, by what, in which range, and what is refused before training starts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from siamclip.augmentation.method_table import MIXERS
from siamclip.augmentation.mix.batch import Mixed
from siamclip.errors import UserError
from siamclip.methods import load_target
from siamclip.models.encoder import SiameseEncoder, create
from siamclip.training.images.mixing import BatchMixing, make_mixing
from siamclip.training.losses import LABEL_LOSSES

MASKS = [name for name, mixer in MIXERS.items() if not mixer.mixes_labels]


@pytest.fixture(scope="module")
def encoder() -> SiameseEncoder:
    return create("efficientnet-lite0", weights="random", image_size=32)


def batch(number: int = 5) -> torch.Tensor:
    return 255 * torch.rand(number, 16, 16, 3, generator=torch.Generator().manual_seed(0))


def embed(photos: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(photos.mean(dim=(1, 2)), dim=1)


def applied(mixing: BatchMixing, seed: int = 0, number: int = 5) -> tuple[torch.Tensor, Mixed]:
    return mixing(batch(number), embed, np.random.default_rng(seed))


@pytest.mark.parametrize("name", MIXERS)
def test_a_method_is_itself_on_images_in_0_to_1(name: str) -> None:
    """After the draws that decide whether, and by which method."""
    mixing = make_mixing([name], [], 1.0, "contrastive")
    found, mixed = applied(mixing, seed=3)
    rng = np.random.default_rng(3)
    assert rng.random() < 1 and rng.integers(1) == 0
    images = batch().permute(0, 3, 1, 2) / 255
    expected = load_target(MIXERS[name].target)(images, embed(batch()), rng)
    torch.testing.assert_close(found, 255 * expected.images.permute(0, 2, 3, 1), rtol=0, atol=1e-3)
    assert torch.equal(mixed.partner, expected.partner)
    torch.testing.assert_close(mixed.share, expected.share)
    assert not torch.equal(found, batch())
    if not MIXERS[name].mixes_labels:
        assert (mixed.share == 1).all()


def test_settings_reach_their_method() -> None:
    _, mixed = applied(make_mixing(["samplepairing"], ["samplepairing.alpha=0"], 1.0, "contrastive"))
    assert (mixed.share == 0).all()
    photos, mixed = applied(make_mixing(["samplepairing"], ["samplepairing.strategy=feature"], 1.0, "contrastive"))
    assert mixed.layer is not None
    assert torch.equal(photos, batch())  # they are mixed further up


def test_the_share_of_batches_and_of_methods() -> None:
    mixing = make_mixing(["mixup,gridmask", "mixup"], [], 0.6, "contrastive")
    assert [method.name for method in mixing.methods] == ["mixup", "gridmask"]
    found: Counter[str] = Counter()
    for seed in range(600):
        photos, mixed = applied(mixing, seed, number=2)
        untouched = torch.equal(photos, batch(2))
        found["none" if untouched else "mixup" if (mixed.share < 1).any() else "gridmask"] += 1
    # standard deviation 12 and 11
    assert abs(found["none"] - 240) < 60
    assert abs(found["mixup"] - 180) < 55
    assert abs(found["gridmask"] - 180) < 55


def test_without_methods_nothing_is_touched_or_drawn() -> None:
    rng, photos = np.random.default_rng(0), batch()
    found, mixed = make_mixing([], [], 0.5, "triplet")(photos, embed, rng)
    assert found is photos
    assert mixed.partner.tolist() == [0, 1, 2, 3, 4]
    assert mixed.share.tolist() == [1.0] * 5
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("name", MIXERS)
def test_the_generator_is_all_that_is_random(name: str) -> None:
    mixing = make_mixing([name], [], 1.0, "contrastive")
    torch.manual_seed(1)
    one = applied(mixing)[0]
    torch.manual_seed(2)
    assert torch.equal(applied(mixing)[0], one)
    assert not torch.equal(applied(mixing, seed=1)[0], one)


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LABEL_LOSSES)
@pytest.mark.parametrize("name", MIXERS)
def test_losses_of_hard_labels_take_masks_alone(name: str, loss: str) -> None:
    if name in MASKS:
        assert make_mixing([name], [], 0.5, loss).methods
    else:
        with pytest.raises(UserError, match=rf"mix {name}: .*loss {loss}; take loss contrastive, or .*gridmask"):
            make_mixing(["gridmask", name], [], 0.5, loss)


@pytest.mark.parametrize(
    ("names", "assignments", "says"),
    [
        (["mixupp"], [], r"mix mixupp: no such method; did you mean mixup\?"),
        (["mixup"], ["mixup.alfa=1"], r"mix_set mixup.alfa=1: mixup has no setting 'alfa'; did you mean alpha"),
        (["mixup"], ["mixup.alpha=much"], r"mix_set mixup.alpha=much: the value must be a number"),
        (["mixup"], ["alpha=1"], r"mix_set alpha=1: must have the form method.setting=value"),
        (["mixup"], ["mixpu.alpha=1"], r"mix_set mixpu.alpha=1: there is no method 'mixpu'; did you mean mixup"),
        (["mixup"], ["gridmask.kept=0.5"], r"mix_set gridmask.kept=0.5: gridmask is not among the methods of mix"),
        ([], ["gridmask.kept=0.5"], r"mix_set gridmask.kept=0.5: gridmask is not among the methods of mix"),
    ],
)
def test_what_is_not_there_is_refused(names: list[str], assignments: list[str], says: str) -> None:
    with pytest.raises(UserError, match=f"^{says}"):
        make_mixing(names, assignments, 0.5, "contrastive")


@pytest.mark.parametrize(
    ("name", "assignments", "says"),
    [
        ("mixup", ["mixup.alpha=-1"], r"mix_set mixup.alpha=-1.0: must be in"),
        ("gridmask", ["gridmask.kept=2"], r"mix_set gridmask.kept=2.0: must be in \[0, 1\]"),
        ("hide_and_seek", ["hide_and_seek.cells=33"], r"mix_set hide_and_seek.cells=33: must be in \[1, 32\]"),
        (
            "samplepairing",
            ["samplepairing.strategy=feature", "samplepairing.layer=99"],
            r"mix_set samplepairing.layer=99: efficientnet-lite0 has 7 blocks",
        ),
    ],
)
def test_settings_out_of_range_are_refused_before_training(
    name: str, assignments: list[str], says: str, encoder: SiameseEncoder
) -> None:
    mixing = make_mixing([name], assignments, 0.5, "contrastive")
    with pytest.raises(UserError, match=f"^{says}"):
        mixing.try_out(encoder)
    make_mixing([name], [], 0.5, "contrastive").try_out(encoder)
