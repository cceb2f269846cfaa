"""Names of the files by which this project knows its own folders."""

from __future__ import annotations

MARKER = "siamclip-augment.json"
