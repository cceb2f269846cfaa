"""Where data that is not shipped may lie: $SIAMCLIP_REFERENCE_DATA, or shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def reference_data(name: str) -> Path | None:
    """The file or folder of that name, or None where it is absent: the test then skips and says so."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("SIAMCLIP_REFERENCE_DATA", beside)) / name
    return path if path.exists() else None
