"""Numba kernels that are compiled once a machine where that is possible, and once a process elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled for this processor on its first call; it runs without holding Python's lock.

    The machine code is kept beside the module or in the user's cache folder ($NUMBA_CACHE_DIR overrides both). Where
    none of them can be written, Numba refuses to cache and every process compiles for itself.
    """
    try:
        return numba.njit(function, cache=True, nogil=True)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(function, nogil=True)
