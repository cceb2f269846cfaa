"""Folders of small photos, and scans of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from siamclip.cleaning.method_table import Scorer
from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.scan import scan_collection
from siamclip.cleaning.scan.table.state import ScanSummary
from tests.cleaning.tiny_scorers import MEAN


def photo(path: Path, colour: tuple[int, int, int], width: int = 20, height: int = 16, format_: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path, format_)


def photos(root: Path, number: int) -> list[Path]:
    """All different, in folders of three."""
    paths = [root / f"{i // 3}" / f"{i}.png" for i in range(number)]
    for i, path in enumerate(paths):
        photo(path, (i % 256, i // 256, 99))
    return paths


def scanned(data: Path, run: Path, *scorers: Scorer, **options: Any) -> ScanSummary:
    return scan_collection(
        data, RunFolder(run), scorers=scorers or (MEAN,), workers=options.pop("workers", 1), **options
    )


def number_of(calls: Path) -> int:
    number = len(calls.read_text().splitlines()) if calls.exists() else 0
    calls.unlink(missing_ok=True)
    return number
