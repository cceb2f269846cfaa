"""The worst mistakes: the order, and that no two vehicles fill the list."""

from __future__ import annotations

import numpy as np

from siamclip.data.pairs import Pairs
from siamclip.evaluation.measurement.contracts import ScoredPairs
from siamclip.evaluation.measurement.worst_errors import worst_errors


def test_worst_errors_are_sorted_and_varied() -> None:
    distances = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 1.2, 1.3, 1.4])
    label_a = np.array([0, 0, 1, 0, 2, 3, 3, 4])
    label_b = np.array([1, 1, 0, 2, 2, 3, 3, 5])
    same = label_a == label_b
    scored = ScoredPairs(Pairs(np.arange(8), np.arange(8), same), distances, label_a, label_b)
    accepts, rejects = worst_errors(scored, 1.0, 12)
    assert accepts.tolist() == [0, 1, 3]  # the third pair of identities 0 and 1 is passed over, in either order
    assert rejects.tolist() == [6, 5]
    assert [len(found) for found in worst_errors(scored, 1.0, 1)] == [1, 1]
