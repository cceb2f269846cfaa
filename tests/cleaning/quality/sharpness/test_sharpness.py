"""Laplacian, Sobel and spectrum against the formulas in 64-bit floats, edges against naive loops of scikit-image's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.quality.sharpness.edges import edge_densities
from siamclip.cleaning.quality.sharpness.laplacian import laplacian_variance
from siamclip.cleaning.quality.sharpness.sobel import sobel_variance
from siamclip.cleaning.quality.sharpness.spectrum import spectrum
from siamclip.data.image.decode import decode
from tests.cleaning.gray_photos import decoded, gray_images, samples, textured
from tests.reference_data import reference_data

SAMPLES = samples()
SCORERS = (laplacian_variance, sobel_variance, spectrum, edge_densities)
RELATIVE = 1e-6


def reference(gray: np.ndarray) -> dict[str, float]:
    """The formulas of the literature, nothing spared."""
    horizontal, vertical = cv2.Sobel(gray, cv2.CV_64F, 1, 0), cv2.Sobel(gray, cv2.CV_64F, 0, 1)
    return {
        "laplacian_variance": cv2.Laplacian(gray, cv2.CV_64F).var(),
        "sobel_variance": np.sqrt(horizontal**2 + vertical**2).var(),
        **reference_spectrum(gray),
    }


def reference_spectrum(gray: np.ndarray) -> dict[str, float]:
    height, width = gray.shape
    amplitude = np.abs(np.fft.fft2(gray.astype(np.float64)))
    amplitude[0, 0] = 0
    amplitude[amplitude < np.sqrt(height * width) / 1024] = 0
    if amplitude.sum() == 0:
        return {"fft_ratio": 0.0, "spectrum_entropy": 0.0}
    low = (np.abs(np.fft.fftfreq(height))[:, None] <= 0.1) & (np.abs(np.fft.fftfreq(width))[None] <= 0.1)
    ratio = 100 * (amplitude[~low] ** 2).sum() / (amplitude**2).sum()
    shares = amplitude[amplitude > 0] / amplitude.sum()
    most = np.log2(max(2, height * width - 1))
    return {"fft_ratio": ratio, "spectrum_entropy": -(shares * np.log2(shares)).sum() / most}


def scores(gray: np.ndarray) -> dict[str, float]:
    photo = decoded(gray)
    return {name: value for scorer in SCORERS for name, value in scorer(photo).items()}


@pytest.mark.parametrize("name", SAMPLES)
def test_equals_the_formula_in_64_bit_floats(name: str) -> None:
    found = scores(SAMPLES[name])
    for key, expected in reference(SAMPLES[name]).items():
        # Variances of the order of rounding itself are compared absolutely.
        assert found[key] == pytest.approx(expected, rel=RELATIVE, abs=1e-7), key


def test_equals_the_formula_on_real_photos() -> None:
    folder = reference_data("near-duplicates/imagededup")
    if folder is None:
        pytest.skip("no reference data")
    files = [file for file in sorted(folder.glob("*.jpg")) if "corrupt" not in file.name][:6]
    assert files
    for file in files:
        gray = cv2.cvtColor(decode(file), cv2.COLOR_RGB2GRAY)
        found = scores(gray)
        for key, expected in reference(gray).items():
            assert found[key] == pytest.approx(expected, rel=RELATIVE), (file.name, key)


def test_laplacian_reaches_its_extremes_in_16_bits() -> None:
    single = np.zeros((3, 3), np.uint8)
    single[1, 1] = 255
    for gray in (single, 255 - single, SAMPLES["checkerboard"]):
        exact = cv2.Laplacian(gray, cv2.CV_64F)
        assert np.abs(exact).max() == 1020
        assert laplacian_variance(decoded(gray))["laplacian_variance"] == pytest.approx(exact.var(), rel=RELATIVE)


def test_laplacian_of_a_single_point_by_hand() -> None:
    gray = np.zeros((5, 5), np.uint8)
    gray[2, 2] = 10  # -40 at the point, 10 at its four neighbours: mean 0, sum of squares 1600 + 400
    assert laplacian_variance(decoded(gray))["laplacian_variance"] == pytest.approx(2000 / 25, rel=1e-12)


def mirrored(gray: np.ndarray, y: int, x: int) -> int:
    """The pixel at (y, x), beyond the border that of the mirror image with its edge repeated."""
    height, width = gray.shape

    def inside(i: int, length: int) -> int:
        i %= 2 * length
        return i if i < length else 2 * length - 1 - i

    return int(gray[inside(y, height), inside(x, width)])


def naive_roberts(gray: np.ndarray, levels: int) -> float:
    """skimage.filters.roberts: kernels 1 0 / 0 -1 and 0 1 / -1 0, root of the mean square."""
    count = 0
    for y, x in np.ndindex(gray.shape):
        first = mirrored(gray, y, x) - mirrored(gray, y + 1, x + 1)
        second = mirrored(gray, y, x + 1) - mirrored(gray, y + 1, x)
        count += np.sqrt((first**2 + second**2) / 2) > levels
    return count / gray.size


def naive_prewitt(gray: np.ndarray, levels: int) -> float:
    """skimage.filters.prewitt: differences across two pixels, averaged over three, root of the mean square."""
    count = 0
    for y, x in np.ndindex(gray.shape):
        window = np.array([[mirrored(gray, y + i, x + j) for j in (-1, 0, 1)] for i in (-1, 0, 1)])
        horizontal = (window[:, 2] - window[:, 0]).sum() / 3
        vertical = (window[2] - window[0]).sum() / 3
        count += np.sqrt((horizontal**2 + vertical**2) / 2) > levels
    return count / gray.size


@pytest.mark.parametrize("name", [name for name, gray in SAMPLES.items() if gray.size < 8000])
def test_edges_equal_naive_loops(name: str) -> None:
    gray = SAMPLES[name]
    found = edge_densities(decoded(gray))
    assert found["roberts_density"] == naive_roberts(gray, 20)
    assert found["prewitt_density"] == naive_prewitt(gray, 40)
    assert found["canny_density"] == (cv2.Canny(gray, 100, 200) > 0).mean()


@given(gray_images)
def test_edges_equal_naive_loops_everywhere(gray: np.ndarray) -> None:
    found = edge_densities(decoded(gray))
    assert found["roberts_density"] == naive_roberts(gray, 20)
    assert found["prewitt_density"] == naive_prewitt(gray, 40)


def test_edges_count_above_the_level_and_not_at_it() -> None:
    # A step of s: Roberts s along one column (d1 = d2 = s), Prewitt s / sqrt 2 along two.
    for step, roberts, prewitt in ((20, 0, 0), (21, 1, 0), (56, 1, 0), (57, 1, 2)):
        gray = np.zeros((6, 10), np.uint8)
        gray[:, 5:] = step
        found = edge_densities(decoded(gray))
        assert found["roberts_density"] == roberts / 10
        assert found["prewitt_density"] == prewitt / 10


@given(gray_images)
def test_laws_of_sharpness(gray: np.ndarray) -> None:
    found = scores(gray)
    assert all(np.isfinite(value) and value >= 0 for value in found.values())
    assert found["fft_ratio"] <= 100 * (1 + 1e-9)
    assert all(found[name] <= 1 for name in found if name.endswith(("entropy", "density")))
    symmetric = ("laplacian_variance", "sobel_variance", "fft_ratio", "spectrum_entropy", "prewitt_density")
    for turned in (gray[::-1], gray[:, ::-1], gray.T):
        again = scores(np.ascontiguousarray(turned))
        for name in symmetric:
            assert again[name] == pytest.approx(found[name], rel=1e-4, abs=1e-4), name


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 255))
def test_one_colour_has_no_sharpness(height: int, width: int, level: int) -> None:
    assert set(scores(np.full((height, width), level, np.uint8)).values()) == {0.0}


@pytest.mark.parametrize("shift", [-40, 40])
def test_spectrum_ignores_brightness(shift: int) -> None:
    gray = 60 + textured(96, 128, 2.0) // 2
    expected = spectrum(decoded(gray))
    assert spectrum(decoded((gray.astype(int) + shift).astype(np.uint8))) == pytest.approx(expected, rel=1e-5)


def test_blur_lowers_every_score() -> None:
    gray = textured(160, 200, 1.0)
    for sigma in (1.5, 3.0):
        blurred = cv2.GaussianBlur(gray, (0, 0), sigma)
        sharp, soft = scores(gray), scores(blurred)
        assert all(soft[name] < sharp[name] for name in sharp), sigma
        gray = blurred


def test_spectrum_of_one_wave() -> None:
    """All energy at one pair of frequencies: inside the window below 0.1 cycles a pixel, outside above."""
    x = np.arange(400)
    for cycles, ratio in ((20, 0.0), (40, 0.0), (48, 100.0), (160, 100.0)):
        gray = np.rint(128 + 100 * np.cos(2 * np.pi * cycles * x / 400)).astype(np.uint8)
        found = spectrum(decoded(np.repeat(gray[None], 50, axis=0)))
        assert found["fft_ratio"] == pytest.approx(ratio, abs=0.1)
