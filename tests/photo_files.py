"""Small photos, put where a test wants them."""

from __future__ import annotations

from pathlib import Path

from tests.hostile import encoded, smooth_rgb

PNG = encoded(smooth_rgb(), "PNG")


def put(root: Path, *names: str, content: bytes = PNG) -> None:
    """Files of this content below `root`."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
