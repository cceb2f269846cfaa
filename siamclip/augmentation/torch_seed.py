"""torchvision's random transforms, seeded from a NumPy generator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def torch_seeded(rng: np.random.Generator) -> Iterator[None]:
    """Inside, torch's global generator of the CPU starts from a seed drawn from `rng`; afterwards it is as before.

    torchvision's transforms draw from it for batches on any device. Generators of GPUs are left alone, which
    `torch.manual_seed` would seed too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        yield
