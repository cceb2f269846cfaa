"""What may be called an embedding."""

from __future__ import annotations

import numpy as np
import pytest

from siamclip.metrics.unit_vectors import as_unit_vectors


def test_unit_rows_pass_unchanged_as_float32() -> None:
    rows = np.array([[0.6, 0.8], [1, 0]])
    checked = as_unit_vectors(rows)
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, rows.astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1.0, 0.0], "shape"),
        (np.empty((3, 0)), "shape"),
        ([[1, 0], [3, 4]], "gallery: row 1 has length 5"),
        ([[0, 0]], "row 0 has length 0"),
        ([[np.nan, 1]], "row 0 has length nan"),
        ([[np.inf, 1]], "row 0 has length inf"),
    ],
)
def test_other_rows_are_refused_by_name(rows: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_unit_vectors(np.array(rows), "gallery")
