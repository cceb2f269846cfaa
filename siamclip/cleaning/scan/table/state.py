"""RUN/scan/state.json: whether the last scan was whole, which scorers and embedders ran, what it counted."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from siamclip.cleaning.run_folder import RunFolder
from siamclip.cleaning.scan.table.records import ImageScorer
from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically


@dataclass(frozen=True)
class ScanSummary:
    """What one scan counted. `files` = `unchanged` + `moved` without being read + `read`."""

    files: int  # photos; links and second names of a file are none
    read: int  # new, changed, or lacking a scorer's values
    unchanged: int
    moved: int  # under a new path, by the file's identity or its content
    gone: int  # known to the scan before and no longer there
    unreadable: int
    other_files: int  # that have no image's extension
    links: int
    hard_links: int  # further names of a file that was counted
    hidden: int
    unlisted: int  # folders that cannot be listed
    not_embedded: int  # photos too elongated for the embedder's crop
    seconds: float


@dataclass
class ScanState:
    complete: bool = False
    scorers: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> version, columns; the last scan's
    embedders: dict[str, dict[str, Any]] = field(default_factory=dict)  # fingerprint -> name, dimension; any scan's
    embedder: str = ""  # the last scan's fingerprint
    summary: dict[str, Any] = field(default_factory=dict)

    def image_scorers(self) -> list[ImageScorer]:
        return [ImageScorer(name, one["version"], one["columns"]) for name, one in self.scorers.items()]

    def save(self, run: RunFolder) -> None:
        """Raises UserError where it cannot be written."""
        try:
            run.scan.mkdir(parents=True, exist_ok=True)
            write_atomically(run.scan_state, json.dumps(dataclasses.asdict(self), indent=1).encode())
        except OSError as error:
            raise UserError(
                "", f"{run.scan}: cannot be written ({error.strerror})", "make room, then scan again"
            ) from None


def read_state(run: RunFolder) -> ScanState | None:
    """None before the first scan. Raises UserError where the file is damaged."""
    try:
        return ScanState(**json.loads(run.scan_state.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError("", f"{run.scan_state}: cannot be read ({error})", "remove it and scan again") from None
