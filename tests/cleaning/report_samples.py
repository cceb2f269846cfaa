"""A small collection with a finding of every kind, and the browser that a page is opened in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from siamclip.cleaning.report.report import ReportData
from siamclip.data.image.decode import content_hash

HOSTILE = "京A/<img src=x onerror='window.injected=1'></script><script>window.injected=1</script>\n\"&%23#?.jpg"
NOT_UTF8 = os.fsdecode(b"plain/latin \xe9.jpg")
REASON = "</script><script>window.injected=1</script><!-- <b onclick=1>"


class Tables:
    """Rows of findings and pairs; a photo is painted when it is first named."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.findings: list[dict[str, Any]] = []
        self.pairs: list[dict[str, Any]] = []

    def photo(self, path: str, shade: int = 100) -> str:
        file = self.root / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            seed = int.from_bytes(os.fsencode(path), "big") % (2**61 - 1)
            pixels = np.random.default_rng(seed).integers(0, shade, (6, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((240, 160)).save(file, "JPEG")
        return path

    def find(self, path: str, method: str, score: float = 1.0, reason: str = "a reason", **row: Any) -> None:
        path = self.photo(path)
        values = {"flagged": True, "group": -1, "keep": False, "related": ""} | row
        content = content_hash(self.root / path)
        self.findings.append(
            {"path": path, "content": content, "method": method, "score": score, "reason": reason} | values
        )

    def pair(self, method: str, first: str, second: str, distance: float, inliers: int = -1) -> None:
        self.pairs.append(
            {"method": method, "first": first, "second": second, "distance": distance, "inliers": inliers}
        )

    def data(self, **changes: Any) -> ReportData:
        names = ("path", "content", "method", "score", "flagged", "reason", "group", "keep", "related")
        pairs = ("method", "first", "second", "distance", "inliers")
        return ReportData(
            **{
                "run": "run-1",
                "root": self.root,
                "created": "2024-05-06 07:08",
                "findings": {name: [row[name] for row in self.findings] for name in names},
                "pairs": {name: [row[name] for row in self.pairs] for name in pairs},
                "class_counts": [("京A", 6, 3), ("B", 4, 4)],
                "notes": {"laplacian": {"threshold": 100.0, "questioned": "a third of the photos would go"}},
                "scan": {"photos": 20, "unreadable": 1},
                "settings": "laplacian:\n  threshold: 100\n",
                **changes,
            }
        )


def every_kind(root: Path) -> Tables:
    """A group of three with evidence of two methods, a label conflict, a clone, a label error, blur, a broken file."""
    tables = Tables(root)
    keeper, near, far = "京A/0.jpg", "京A/1.jpg", "京A/2.jpg"
    for method, distances in (("phash", (3.0, 5.0)), ("semantic", (0.12, 0.25))):
        tables.find(keeper, method, 0.0, "the best of 3 copies", flagged=False, keep=True, group=0)
        for path, distance in zip((near, far), distances, strict=True):
            tables.find(path, method, distance, f"copy of {keeper}", group=0, related=keeper)
            tables.pair(method, keeper, tables.photo(path), distance, 57 if path == near else -1)
    tables.pair("phash", near, far, 2.0)
    for path, other in (("京A/c.jpg", "B/c.jpg"), ("B/c.jpg", "京A/c.jpg")):
        tables.photo(other)
        tables.find(path, "label_conflict", 0.0, "the same photo twice", keep=True, group=1, related=other)
    tables.pair("exact", "京A/c.jpg", "B/c.jpg", 0.0)
    tables.find("B/d.jpg", "label_errors", 0.4, "nearer to 京A", keep=True, related=keeper)
    for number in range(4):
        tables.find(f"clone/{number}.jpg", "cloned_plate", 0.7, "two vehicles", keep=True, group=10 + number // 2)
    for path in (far, "plain/blurred.jpg", NOT_UTF8):
        tables.find(path, "laplacian", 12.0, "blurred")
    tables.find(HOSTILE, "knn", float("nan"), REASON)
    (root / "京A" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    tables.find("京A/broken.jpg", "unreadable", reason="damaged header")
    return tables


@contextmanager
def chromium(profile: Path, downloads: Path | None = None) -> Iterator[Any]:
    """A headless Chromium; skips the test where there is none, unless SIAMCLIP_REQUIRE_BROWSER=1 says there is."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        message = "chromium or chromedriver is not installed"
        if os.environ.get("SIAMCLIP_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-dev-shm-usage", "--lang=en", "--window-size=1400,1000", f"--user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(argument)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.set_script_timeout(30)
        yield browser
    finally:
        browser.quit()
