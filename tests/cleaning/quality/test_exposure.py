from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given

from siamclip.cleaning.quality.exposure import (
    exposure,
    grey_histogram,
    intensity,
    low_contrast,
    low_entropy,
    over_exposed,
    under_exposed,
)
from tests.cleaning.gray_photos import decoded, gray_images, photos, samples


def naive(gray: np.ndarray) -> dict[str, float]:
    levels = gray.ravel().tolist()
    mean = math.fsum(levels) / len(levels)
    shares = [levels.count(level) / len(levels) for level in set(levels)]
    return {
        "dark_share": sum(level < 10 for level in levels) / len(levels),
        "bright_share": sum(level > 245 for level in levels) / len(levels),
        "mean_intensity": mean,
        "contrast": math.sqrt(math.fsum((level - mean) ** 2 for level in levels) / len(levels)),
        "entropy": -math.fsum(share * math.log2(share) for share in shares),
    }


@pytest.mark.parametrize("name", samples())
def test_equals_a_naive_loop(name: str) -> None:
    gray = samples()[name]
    assert exposure(decoded(gray)) == pytest.approx(naive(gray), rel=1e-12, abs=1e-12)


@given(gray_images)
def test_equals_a_naive_loop_everywhere(gray: np.ndarray) -> None:
    found = exposure(decoded(gray))
    assert found == pytest.approx(naive(gray), rel=1e-12, abs=1e-12)
    assert 0 <= found["entropy"] <= 8


def test_levels_at_the_borders() -> None:
    gray = np.array([[9, 10, 245, 246]], np.uint8)
    found = exposure(decoded(gray))
    assert (found["dark_share"], found["bright_share"]) == (0.25, 0.25)


def test_counts_stay_exact_beyond_the_floats_of_opencv() -> None:
    gray = np.zeros((1, 1), np.uint8)
    wide = np.broadcast_to(gray, (4200, 4100)).copy()  # 17.2 million black pixels: over 2^24
    wide[4199, 4099] = 255
    histogram = grey_histogram(wide)
    assert histogram[0] == 4200 * 4100 - 1 and histogram[255] == 1 and histogram.sum() == wide.size


def test_reasons_name_the_number_and_the_threshold() -> None:
    table = photos({"dark_share": [0.0, 0.25, 0.1, 0.05], "bright_share": [0.3, 0, 0, 0]})
    dark, bright = under_exposed(table), over_exposed(table)
    assert dark.rows.tolist() == [1] and dark.score.tolist() == [0.25] and not dark.keep.any()
    assert dark.reason == ["under-exposed: black parts of 25%, above 10%; higher than 75% of the photos"]
    assert bright.reason == ["over-exposed: white parts of 30%, above 10%; higher than 75% of the photos"]


def test_intensity_has_two_ends() -> None:
    table = photos({"mean_intensity": [49.9, 50.0, 120.0, 200.0, 200.1, 120.0, 120.0]})
    found = intensity(table)
    assert found.rows.tolist() == [0, 4]
    assert found.reason[0].startswith("too dark: mean intensity 49.9, below 50;")
    assert found.reason[1].startswith("too bright: mean intensity 200.1, above 200;")
    assert intensity(table, maximum=120.0, max_share=1).rows.tolist() == [0, 3, 4]


def test_contrast_and_entropy() -> None:
    table = photos({"contrast": [19.0, 20.0, 60.0, 61.0], "entropy": [0.0, 4.0, 7.0, 7.1]})
    assert low_contrast(table).rows.tolist() == [0]
    assert low_entropy(table).rows.tolist() == [0]
