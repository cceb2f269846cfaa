"""The gate with an embedder whose answers are known, and once with a real network."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.fusion.gate import Gate, GateSettings, sharpness_ratio

SIDE = 16


class ByColour:
    """Embeds a picture as the direction of its mean colour; remembers how many pictures it was given in each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def embed(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        self.calls.append(len(photos))
        means = np.stack([photo.reshape(-1, 3).mean(axis=0) for photo in photos])
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


def coloured(red: int, green: int, blue: int, contrast: int = 0) -> np.ndarray:
    """A checkerboard of that colour +- contrast."""
    board = np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 2 - 1
    return (np.array([red, green, blue]) + contrast * board[..., None]).astype(np.uint8)


RED, GREEN, BOTH = coloured(120, 20, 20, 20), coloured(20, 120, 20, 20), coloured(70, 70, 20, 20)


def verdict_of(
    image: np.ndarray, first: np.ndarray, second: np.ndarray, similarity: float = 0.7, sharpness: float = 0.25
):
    return Gate(ByColour(), GateSettings(similarity, sharpness)).verdicts(image[None], first[None], second[None])[0]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    one, other = (x.reshape(-1, 3).mean(axis=0) for x in (a, b))
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_scores_are_the_cosines_and_the_ratio_of_sharpness() -> None:
    verdict = verdict_of(BOTH, RED, GREEN)
    assert verdict.reason == verdict.text == ""
    assert verdict.scores == pytest.approx(
        {"similarity_first": cosine(BOTH, RED), "similarity_second": cosine(BOTH, GREEN), "sharpness": 1.0}, abs=1e-6
    )


@pytest.mark.parametrize(
    ("image", "reason", "text"),
    [
        (RED, "far_from_second", "to the second photo 0.342 < 0.7"),
        (GREEN, "far_from_first", "to the first photo 0.342 < 0.7"),
        (coloured(20, 20, 120, 20), "far_from_first", "to the first photo 0.342 < 0.7"),
        (coloured(70, 70, 20, 9), "blurred", "0.203 of the photos' sharpness < 0.25"),
        (coloured(70, 70, 20, 11), "", ""),
    ],
)
def test_reasons(image: np.ndarray, reason: str, text: str) -> None:
    verdict = verdict_of(image, RED, GREEN)
    assert verdict.reason == reason
    assert verdict.text.endswith(text)


def test_bounds_themselves_pass() -> None:
    scores = verdict_of(BOTH, RED, GREEN)
    similarity = min(scores.similarity_first, scores.similarity_second)
    assert verdict_of(BOTH, RED, GREEN, similarity, scores.sharpness).reason == ""
    assert verdict_of(BOTH, RED, GREEN, np.nextafter(similarity, 1), 0).reason.startswith("far_from")
    assert verdict_of(BOTH, RED, GREEN, -1, np.nextafter(scores.sharpness, 2)).reason == "blurred"


def test_an_image_equal_to_its_photos_passes_every_gate_up_to_1() -> None:
    verdict = verdict_of(RED, RED, RED, 1.0, 1.0)
    assert (verdict.reason, verdict.similarity_first, verdict.sharpness) == ("", 1.0, 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_never_passes(value: float) -> None:
    class Broken(ByColour):
        def embed(self, photos: Sequence[np.ndarray]) -> np.ndarray:
            vectors = super().embed(photos)
            vectors[0] = value
            return vectors

    batch = np.stack([RED, RED])
    verdicts = Gate(Broken(), GateSettings(-1.0, 0.0)).verdicts(batch, batch, batch)
    assert [verdict.reason for verdict in verdicts] == ["not_finite", ""]


def test_each_photo_is_embedded_once_and_each_batch_in_one_call() -> None:
    embedder = ByColour()
    gate = Gate(embedder, GateSettings(0.5, 0.0))
    images, first, second = np.stack([BOTH] * 3), np.stack([RED] * 3), np.stack([GREEN, GREEN, BOTH])
    expected = gate.verdicts(images, first, second)
    assert embedder.calls == [3 + 3]
    assert gate.verdicts(images, second, first)[0].scores["similarity_second"] == expected[0].similarity_first
    assert embedder.calls == [6, 3]  # the photos are known, the images never are


@pytest.mark.parametrize("remembered", [0, 1, 2])
def test_photos_are_forgotten_but_never_confused(remembered: int) -> None:
    rng = np.random.default_rng(0)
    photos = rng.integers(0, 256, (6, SIDE, SIDE, 3), np.uint8)
    embedder = ByColour()
    gate = Gate(embedder, GateSettings(-1.0, 0.0), remembered=remembered)
    for i in (0, 1, 0, 2, 3, 0):
        first, second = photos[[i, i + 1]], photos[[i + 2, i]]
        verdicts = gate.verdicts(photos[4:], first, second)
        for verdict, image, one, other in zip(verdicts, photos[4:], first, second, strict=True):
            assert verdict.similarity_first == pytest.approx(cosine(image, one), abs=1e-6)
            assert verdict.similarity_second == pytest.approx(cosine(image, other), abs=1e-6)
        assert len(gate._known) <= remembered


def test_arrays_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Gate(ByColour(), GateSettings(0, 0)).verdicts(np.stack([RED]), np.stack([RED] * 2), np.stack([RED]))


# -- sharpness ------------------------------------------------------------------------------------------------------


def naive_variance(image: np.ndarray) -> float:
    """The definition on OpenCV's luma, with its mirrored border."""
    gray = np.pad(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64), 1, mode="reflect")
    laplacian = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:] - 4 * gray[1:-1, 1:-1]
    return float(laplacian.var())


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000))
def test_ratio_is_variance_over_the_geometric_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.integers(10, 128, 3)
    made, one, other = (rng.integers(128 - s, 128 + s, (SIDE, SIDE, 3)).astype(np.uint8) for s in spread)
    expected = naive_variance(made) / np.sqrt(naive_variance(one) * naive_variance(other))
    assert sharpness_ratio(made, one, other) == pytest.approx(expected, rel=1e-9)
    assert sharpness_ratio(made, one, other) == sharpness_ratio(made, other, one)


def test_flat_photos() -> None:
    flat, other = coloured(90, 90, 90), coloured(30, 60, 90)
    assert sharpness_ratio(flat, flat, other) == 1.0
    assert sharpness_ratio(RED, flat, other) > 1
    assert 0 < sharpness_ratio(flat, RED, RED) < 0.01
    assert np.isfinite(sharpness_ratio(RED, flat, RED))


def test_blur_lowers_the_ratio_of_a_real_texture() -> None:
    rng = np.random.default_rng(3)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (64, 64, 3), np.uint8), (0, 0), 0.7)
    ratios = [sharpness_ratio(cv2.GaussianBlur(photo, (0, 0), sigma), photo, photo) for sigma in (0.5, 1.0, 2.0)]
    assert 1 > ratios[0] > 0.25 > ratios[1] > ratios[2] > 0


@pytest.mark.slow
def test_a_real_embedder_keeps_a_photo_and_rejects_noise() -> None:
    from siamclip.embedding.embedder import Embedder
    from siamclip.models.encoder import create

    embedder = Embedder(create("efficientnet-lite0"), device="cpu", precision="fp32")
    ramp = np.linspace(0, 255, 64)
    photo = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 255 - ramp), axis=-1).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, np.uint8)
    batch = np.stack([photo] * 2)
    verdicts = Gate(embedder, GateSettings(0.7, 0.25)).verdicts(np.stack([photo, noise]), batch, batch)
    assert [verdict.reason for verdict in verdicts] == ["", "far_from_first"]
    assert verdicts[0].similarity_first == pytest.approx(1, abs=1e-5)
