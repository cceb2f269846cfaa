"""The worst mistakes of an embedder: pairs to look at."""

from __future__ import annotations

import numpy as np

from siamclip.evaluation.measurement.contracts import ScoredPairs


def worst_errors(scored: ScoredPairs, threshold: float, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of at most `number` worst false accepts (nearest first) and false rejects (farthest first).

    At most two of the same two identities, so that one bad vehicle does not fill the list.
    """
    same, accepted = scored.pairs.same, scored.distances <= threshold
    false_accepts = np.flatnonzero(accepted & ~same)
    false_rejects = np.flatnonzero(~accepted & same)[::-1]
    return _two_of_each(scored, false_accepts, number), _two_of_each(scored, false_rejects, number)


def _two_of_each(scored: ScoredPairs, positions: np.ndarray, number: int) -> np.ndarray:
    """The first `number` of the positions, without a third pair of the same two identities."""
    kept: list[int] = []
    times: dict[tuple[int, int], int] = {}
    for position in positions:
        a, b = int(scored.label_a[position]), int(scored.label_b[position])
        key = (min(a, b), max(a, b))
        times[key] = times.get(key, 0) + 1
        if times[key] <= 2:
            kept.append(int(position))
            if len(kept) == number:
                break
    return np.array(kept, dtype=np.intp)
