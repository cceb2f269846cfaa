"""Losses, against published numbers, naive loops, and the libraries that define the same function."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners as pml_miners

from siamclip.data.pairs import Pairs
from siamclip.errors import UserError
from siamclip.training.losses import (
    ALIASES,
    LABEL_LOSSES,
    LOSS_NAMES,
    ContrastiveLoss,
    contrastive_loss,
    distances_of_pairs,
    make_loss,
    takes_soft_labels,
)

DEGREES, IDENTITIES = [0, 20, 40, 60, 80], [0, 0, 1, 1, 2]


def at_angles(degrees: list[float], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1).to(dtype)


def ordered_pairs(labels: list[int]) -> Pairs:
    first, second = np.array(list(permutations(range(len(labels)), 2))).T
    identities = np.array(labels)
    return Pairs(first, second, identities[first] == identities[second])


def unit_batch(photos: int = 16, dimension: int = 8, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors, two to a label, near enough to each other that every loss has something to push."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(photos, dimension, generator=generator) + 1.0
    return torch.nn.functional.normalize(vectors, dim=1), torch.arange(photos) // 2


# -- contrastive ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("margin", "positive", "negative", "overall"),
    [(0.5, 0.1206147584, 0.0058296008, 0.0287866323), (1.0, 0.1206147584, 0.1439419646, 0.1392765234)],
)
def test_contrastive_loss_at_known_angles(margin: float, positive: float, negative: float, overall: float) -> None:
    """Unit vectors at 0, 20, 40, 60, 80 degrees: a positive pair is 2 sin 10 apart, and d^2 = 4 sin^2 10 = 0.1206."""
    assert positive == pytest.approx(4 * math.sin(math.radians(10)) ** 2, abs=1e-10)
    pairs = ordered_pairs(IDENTITIES)
    vectors = at_angles(DEGREES, torch.float32)
    same = torch.from_numpy(pairs.same)
    found = contrastive_loss(
        distances_of_pairs(vectors, torch.from_numpy(pairs.first), torch.from_numpy(pairs.second)), same, margin
    )
    assert found[same].mean().item() == pytest.approx(positive, abs=1e-7)
    assert found[~same].mean().item() == pytest.approx(negative, abs=1e-7)
    assert ContrastiveLoss(margin)(vectors, torch.tensor(IDENTITIES), pairs).value.item() == pytest.approx(
        overall, abs=1e-7
    )


@given(
    st.lists(st.tuples(st.floats(0, 360), st.integers(0, 2)), min_size=3, max_size=7).filter(
        lambda photos: len({label for _, label in photos}) > 1
    ),
    st.floats(0.01, 2),
    st.floats(0, 1),
)
def test_contrastive_loss_equals_a_naive_loop(
    photos: list[tuple[float, int]], margin: float, positive_margin: float
) -> None:
    degrees, labels = (list(column) for column in zip(*photos, strict=True))
    pairs = ordered_pairs(labels)
    total = 0.0
    for a, b in permutations(range(len(labels)), 2):
        distance = 2 * abs(math.sin(math.radians(degrees[a] - degrees[b]) / 2))
        if labels[a] == labels[b]:
            total += max(distance - positive_margin, 0) ** 2
        else:
            total += max(margin - distance, 0) ** 2
    loss = ContrastiveLoss(margin, positive_margin)
    found = loss(at_angles(degrees, torch.float32), torch.tensor(labels), pairs).value.item()
    assert found == pytest.approx(total / len(pairs), abs=2e-5)


def test_it_is_twice_the_loss_of_sentence_transformers() -> None:
    """Their ContrastiveLoss: 0.5 (y d^2 + (1 - y) relu(margin - d)^2), mean over pairs."""
    vectors, labels = unit_batch()
    pairs = ordered_pairs(labels.tolist())
    distance = torch.nn.functional.pairwise_distance(vectors[pairs.first], vectors[pairs.second], eps=0)
    y = torch.from_numpy(pairs.same).float()
    theirs = 0.5 * (y * distance.pow(2) + (1 - y) * torch.relu(0.9 - distance).pow(2)).mean()
    assert ContrastiveLoss(0.9)(vectors, labels, pairs).value.item() == pytest.approx(2 * theirs.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("same", [True, False])
def test_identical_photos_have_a_finite_gradient(dtype: torch.dtype, same: bool) -> None:
    vectors = torch.tensor([[0.6, 0.8], [0.6, 0.8], [1.0, 0.0]], dtype=dtype, requires_grad=True)
    pairs = Pairs(np.array([0, 0]), np.array([1, 2]), np.array([same, not same]))
    loss = ContrastiveLoss(1.0)(vectors, torch.zeros(3), pairs)
    assert loss.value.dtype == torch.float32
    loss.value.backward()
    assert vectors.grad is not None and torch.isfinite(vectors.grad).all()
    assert vectors.grad[2].abs().sum() > 0  # the other pair still teaches


def test_small_distances_of_half_precision_vectors_are_measured_in_single() -> None:
    """Squares of differences below 2.4e-4 vanish in fp16."""
    vectors = torch.tensor([[1.0, 0.0], [1.0, 1e-4]], dtype=torch.float16)
    found = distances_of_pairs(vectors, torch.tensor([0]), torch.tensor([1]))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(1e-4, rel=1e-3)


def test_the_gradient_equals_finite_differences() -> None:
    vectors = at_angles(DEGREES).requires_grad_()
    pairs = ordered_pairs(IDENTITIES)

    def loss(x: torch.Tensor) -> torch.Tensor:
        squared = (x[pairs.first] - x[pairs.second]).square().sum(dim=1)
        return contrastive_loss(squared.sqrt(), torch.from_numpy(pairs.same), 0.6, 0.1).sum()

    assert torch.autograd.gradcheck(loss, vectors)


def test_the_margins_end_pushing_and_pulling() -> None:
    distances = torch.tensor([0.0, 0.2, 0.3, 0.5, 2.0], requires_grad=True)
    for same, still in ((False, [True, True, True, False, False]), (True, [False, False, True, True, True])):
        (slope,) = torch.autograd.grad(contrastive_loss(distances, torch.full((5,), same), 0.5, 0.2).sum(), distances)
        assert (slope != 0).tolist() == still


@pytest.mark.parametrize("margin", [0.0, -0.5, 2.0001, math.nan])
def test_a_margin_that_cannot_be_met_is_refused(margin: float) -> None:
    with pytest.raises(UserError, match=r"margin .* \(0, 2\]"):
        make_loss("contrastive", margin)


@pytest.mark.parametrize("ratio", [0.5, 0.2])
def test_positive_ratio_weighs_the_kinds_as_if_it_were_their_share(ratio: float) -> None:
    pairs = ordered_pairs(IDENTITIES)
    vectors = at_angles(DEGREES, torch.float32)
    found = make_loss("contrastive", 1.0, positive_ratio=ratio)(vectors, torch.tensor(IDENTITIES), pairs).value.item()
    assert found == pytest.approx(ratio * 0.1206147584 + (1 - ratio) * 0.1439419646, abs=1e-7)


def test_positive_ratio_and_a_batch_of_one_kind() -> None:
    vectors = at_angles([0, 20], torch.float32).requires_grad_()
    pairs = Pairs(np.array([0]), np.array([1]), np.array([True]))
    loss = ContrastiveLoss(0.5, positive_ratio=0.5)(vectors, torch.zeros(2), pairs)
    assert loss.value.item() == pytest.approx(0.5 * 0.1206147584, abs=1e-7)
    loss.value.backward()
    assert torch.isfinite(vectors.grad).all()


def test_active_negatives_are_those_within_the_margin() -> None:
    """Of the 16 ordered negative pairs: 4 at 20 degrees (d = .347), 6 at 40 (.684), 4 at 60 (1), 2 at 80 (1.286)."""
    pairs = ordered_pairs(IDENTITIES)
    vectors = at_angles(DEGREES, torch.float32)
    for margin, active in ((0.3, 0), (0.5, 4), (0.9, 10), (2.0, 16)):
        found = ContrastiveLoss(margin)(vectors, torch.tensor(IDENTITIES), pairs).active_negatives
        assert found == pytest.approx(active / 16)


# -- soft labels ------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 1)), min_size=1, max_size=8), st.floats(0.01, 2), st.floats(0, 1)
)
def test_soft_pairs_equal_a_naive_loop(pairs: list[tuple[float, float]], margin: float, positive_margin: float) -> None:
    distances, y = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
    found = contrastive_loss(distances, y, margin, positive_margin)
    for loss, (d, share) in zip(found.tolist(), pairs, strict=True):
        expected = share * max(d - positive_margin, 0) ** 2 + (1 - share) * max(margin - d, 0) ** 2
        assert loss == pytest.approx(expected, abs=1e-12)


@given(st.floats(0, 1), st.floats(0.1, 2), st.floats(0, 1))
def test_the_loss_of_a_soft_pair_is_least_between_the_margins(y: float, margin: float, part: float) -> None:
    positive_margin = part * margin
    distances = torch.linspace(0, 2, 4001, dtype=torch.float64)
    least = contrastive_loss(distances, torch.full_like(distances, y), margin, positive_margin).min().item()
    best = torch.tensor([y * positive_margin + (1 - y) * margin], dtype=torch.float64)
    assert contrastive_loss(best, torch.full_like(best, y), margin, positive_margin).item() <= least + 1e-9


def weighted_means(distances: list[float], y: list[float], margin: float) -> tuple[float, float]:
    """Of the pulls weighted by y and the pushes weighted by 1 - y, in plain loops."""
    pull = sum(w * d**2 for d, w in zip(distances, y, strict=True)) / sum(y)
    push = sum((1 - w) * max(margin - d, 0) ** 2 for d, w in zip(distances, y, strict=True)) / sum(1 - w for w in y)
    return pull, push


@pytest.mark.parametrize("y", [[1.0, 0.0, 0.0, 1.0], [0.5, 0.2, 0.0, 1.0], [0.1, 0.05, 0.02, 0.2]])
@pytest.mark.parametrize("ratio", [0.5, 0.2])
def test_positive_ratio_weighs_pulls_by_y_and_pushes_by_the_rest(y: list[float], ratio: float) -> None:
    vectors = at_angles(DEGREES, torch.float32)
    pairs = Pairs(np.array([0, 0, 0, 1]), np.array([1, 2, 3, 4]), np.array(y, np.float32))
    distances = [2 * math.sin(math.radians(angle) / 2) for angle in (20, 40, 60, 60)]
    pull, push = weighted_means(distances, y, 0.9)
    found = ContrastiveLoss(0.9, positive_ratio=ratio)(vectors, torch.zeros(5), pairs).value.item()
    assert found == pytest.approx(ratio * pull + (1 - ratio) * push, rel=1e-5)


@given(
    st.lists(st.tuples(st.integers(0, 359), st.integers(0, 2)), min_size=2, max_size=7), st.none() | st.floats(0.1, 0.9)
)
def test_y_of_0_and_1_is_the_hard_loss_bit_for_bit(photos: list[tuple[int, int]], ratio: float | None) -> None:
    degrees, labels = (list(column) for column in zip(*photos, strict=True))
    hard = ordered_pairs(labels)
    soft = Pairs(hard.first, hard.second, hard.same.astype(np.float32))
    results = []
    for pairs in (hard, soft):
        vectors = at_angles(degrees, torch.float32).requires_grad_()
        found = ContrastiveLoss(0.6, 0.1, ratio)(vectors, torch.tensor(labels), pairs)
        found.value.backward()
        results.append((found.value.item(), found.active_negatives, vectors.grad))
    assert results[0][:2] == results[1][:2]
    assert torch.equal(results[0][2], results[1][2])
    # as it was before labels could be soft: one part or the other of each pair, and means over those of a kind
    distances = distances_of_pairs(
        at_angles(degrees, torch.float32), torch.from_numpy(hard.first), torch.from_numpy(hard.second)
    )
    same = torch.from_numpy(hard.same)
    each = torch.where(same, (distances - 0.1).clamp(min=0) ** 2, (0.6 - distances).clamp(min=0) ** 2)
    means = [each[kind].mean().item() if kind.any() else 0.0 for kind in (same, ~same)]
    expected = each.mean().item() if ratio is None else ratio * means[0] + (1 - ratio) * means[1]
    assert results[0][0] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_active_negatives_of_soft_pairs_are_those_still_pushed_apart() -> None:
    """y = 0.5 and m = 1: wanted at d = 0.5. At 0.35 it is pushed, at 0.68 pulled; each is half a negative. A hard
    negative at 0.35 is pushed, a hard positive is no negative: 1.5 of 2."""
    vectors = at_angles([0, 20, 40], torch.float32)
    pairs = Pairs(np.array([0, 0, 1, 0]), np.array([1, 2, 2, 1]), np.array([0.5, 0.5, 0.0, 1.0], np.float32))
    found = ContrastiveLoss(1.0)(vectors, torch.zeros(3), pairs)
    assert found.active_negatives == pytest.approx(1.5 / 2)
    all_positive = Pairs(pairs.first, pairs.second, np.ones(4, np.float32))
    assert ContrastiveLoss(1.0)(vectors, torch.zeros(3), all_positive).active_negatives == 0


@pytest.mark.parametrize("name", [*LOSS_NAMES, *ALIASES, "NTXent"])
def test_only_the_contrastive_loss_takes_soft_labels(name: str) -> None:
    assert takes_soft_labels(name) == (name == "contrastive")


# -- by name --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_name_has_a_value_and_a_finite_gradient(name: str) -> None:
    vectors, labels = unit_batch()
    vectors[1] = vectors[0]  # identical photos
    vectors.requires_grad_()
    torch.manual_seed(0)
    loss = make_loss(name, 0.5, classes=8, dimension=8)
    found = loss(vectors, labels, ordered_pairs(labels.tolist()))
    assert found.value.ndim == 0 and found.value.item() > 0
    assert 0 < found.active_negatives <= 1
    found.value.backward()
    for gradient in (vectors.grad, *(parameter.grad for parameter in loss.parameters())):
        assert gradient is not None and torch.isfinite(gradient).all() and gradient.abs().sum() > 0


# The library's losses as their papers set them, called directly.
DIRECTLY = {
    "triplet": (pml_losses.TripletMarginLoss(margin=0.5), pml_miners.TripletMarginMiner(0.5, "semihard")),
    "multi-similarity": (
        pml_losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
        pml_miners.MultiSimilarityMiner(epsilon=0.1),
    ),
    "ntxent": (pml_losses.NTXentLoss(temperature=0.07), None),
    "supcon": (pml_losses.SupConLoss(temperature=0.1), None),
    "circle": (pml_losses.CircleLoss(m=0.4, gamma=80), None),
    "proxy-anchor": (pml_losses.ProxyAnchorLoss(8, 8, margin=0.1, alpha=32), None),
    "arcface": (pml_losses.ArcFaceLoss(8, 8, margin=28.6, scale=64), None),
}


def test_the_table_is_complete() -> None:
    assert DIRECTLY.keys() == LABEL_LOSSES.keys()


@pytest.mark.parametrize("name", DIRECTLY)
def test_a_name_is_the_librarys_loss(name: str) -> None:
    vectors, labels = unit_batch(photos=16, seed=3)
    peer, miner = DIRECTLY[name]
    loss = make_loss(name, 0.5, classes=8, dimension=8)
    if list(peer.parameters()):
        loss.loss.load_state_dict(peer.state_dict())  # proxies start at random
    hard = () if miner is None else (miner(vectors, labels),)
    found = loss(vectors.half(), labels, ordered_pairs(labels.tolist())).value  # fp32 inside, whatever comes in
    expected = peer(vectors.half().float(), labels, *hard)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_multi_similarity_equals_its_formula() -> None:
    """Wang et al. 2019, equations 7 to 9, in a naive loop."""
    vectors, labels = unit_batch(photos=12, seed=1)
    alpha, beta, base, epsilon = 2.0, 50.0, 0.5, 0.1
    cosine = (vectors @ vectors.T).tolist()
    total = 0.0
    for i, own in enumerate(labels.tolist()):
        positive = [cosine[i][k] for k in range(12) if k != i and labels[k] == own]
        negative = [cosine[i][k] for k in range(12) if labels[k] != own]
        hard_negative = [s for s in negative if s + epsilon > min(positive)]
        hard_positive = [s for s in positive if s - epsilon < max(negative)]
        total += math.log1p(sum(math.exp(-alpha * (s - base)) for s in hard_positive)) / alpha
        total += math.log1p(sum(math.exp(beta * (s - base)) for s in hard_negative)) / beta
    found = make_loss("multi-similarity", 0.5)(vectors, labels, ordered_pairs(labels.tolist())).value.item()
    assert found == pytest.approx(total / 12, rel=1e-5)


def test_active_negatives_of_label_losses_are_nearer_than_the_farthest_positive() -> None:
    degrees, labels = [0.0, 30.0, 20.0, 170.0, 180.0], torch.tensor([0, 0, 1, 2, 2])
    # anchor 0 sees 20 within 30; anchor 30 sees 20; anchor 20 has no positive; anchors 170 and 180 see none: 2 of 16
    loss = make_loss("ntxent", 0.5)(at_angles(degrees, torch.float32), labels, ordered_pairs(labels.tolist()))
    assert loss.active_negatives == pytest.approx(2 / 16)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_and_capitals(alias: str, name: str) -> None:
    expected = make_loss(name, 0.5, classes=4, dimension=4).loss
    for spelling in (alias, alias.upper()):
        assert type(make_loss(spelling, 0.5, classes=4, dimension=4).loss) is type(expected)


@pytest.mark.parametrize(
    ("name", "says"), [("tripplet", "did you mean triplet"), ("xyz", "choose one of contrastive, triplet")]
)
def test_an_unknown_name_is_answered_with_one_that_exists(name: str, says: str) -> None:
    with pytest.raises(UserError, match=f"loss {name}: no such loss; {says}"):
        make_loss(name, 0.5)
