from __future__ import annotations

import numpy as np

from siamclip.cleaning.quality.size import aspect_ratio, too_small
from tests.cleaning.gray_photos import photos

SIZES = photos(
    {"width": [640, 639, 480, 6400, 0, 4000], "height": [480, 480, 640, 100, 0, 3000]}, errors={4: "the file is empty"}
)


def test_too_small_means_either_side() -> None:
    found = too_small(SIZES, max_share=1.0)
    assert found.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.score, [639 / 640, 480 / 640, 100 / 480])
    assert found.reason[2] == "too small: 6400 x 100 pixels, below 640 x 480; lower than 80% of the photos"
    assert not found.keep.any()
    assert len(too_small(SIZES, min_width=1, min_height=1)) == 0


def test_crops_are_questioned_and_the_suggestion_holds() -> None:
    table = photos({"width": np.arange(60, 160), "height": np.full(100, 137)})
    found = too_small(table)
    assert len(found) == 100 and found.keep.all()
    assert "min_width x min_height 65 x 49 would flag at most 5%" in str(found.notes["questioned"])
    assert len(too_small(table, min_width=65, min_height=49)) == 5


def test_aspect_ratio() -> None:
    found = aspect_ratio(SIZES)
    assert found.rows.tolist() == [3]
    assert found.reason == ["too wide: 6400 x 100 pixels, width / height 64, above 3; higher than 80% of the photos"]
    table = photos({"width": [100, 299, 300, 301, 900, 901], "height": [300, 900, 900, 900, 300, 300]})
    found = aspect_ratio(table, max_share=1)
    assert found.rows.tolist() == [1, 5]
    assert found.reason[0].startswith("too narrow: 299 x 900 pixels, width / height 0.3322, below 0.3333;")
