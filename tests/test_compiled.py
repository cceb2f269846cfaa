"""Kernels work where their machine code cannot be kept."""

from __future__ import annotations

import numba
import pytest

from siamclip.compiled import compiled


def test_a_function_that_numba_refuses_to_cache_is_compiled_all_the_same() -> None:
    names: dict = {}
    exec("def double(x):\n    return 2 * x", names)  # of no file, so that Numba finds no place beside it
    with pytest.raises(RuntimeError, match="cannot cache"):
        numba.njit(names["double"], cache=True)
    assert compiled(names["double"])(21) == 42
