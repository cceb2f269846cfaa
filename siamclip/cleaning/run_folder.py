"""The RUN folder: where each result of cleaning one collection lies, and the lock that keeps two processes apart.

RUN/siamclip-run.json     format, and the collection that the RUN belongs to; a scan of another collection
                          takes no photos out of a folder that holds this file
RUN/scan/                 what the scan saw: see scan/table/
RUN/findings.parquet ...  what the other steps wrote
"""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from siamclip.errors import UserError
from siamclip.files.atomic import write_atomically
from siamclip.files.lock import hold

FORMAT = 1
MARKER = "siamclip-run.json"
_ARCHIVE = "archive.json"


class RunFolder:
    """The paths below one RUN folder. Nothing is read or written before a method is called."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @classmethod
    def existing(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Raises UserError for a mistyped folder, before anything is made in it."""
        run = cls(path)
        run.require()
        return run

    def __str__(self) -> str:
        return str(self.path)

    @property
    def marker(self) -> Path:
        return self.path / MARKER

    @property
    def scan(self) -> Path:
        """Folder: files.parquet, state.json, parts/ and embeddings/."""
        return self.path / "scan"

    @property
    def files(self) -> Path:
        return self.scan / "files.parquet"

    @property
    def scan_state(self) -> Path:
        return self.scan / "state.json"

    @property
    def parts(self) -> Path:
        return self.scan / "parts"

    @property
    def embeddings(self) -> Path:
        return self.scan / "embeddings"

    @property
    def findings(self) -> Path:
        return self.path / "findings.parquet"

    @property
    def findings_csv(self) -> Path:
        return self.path / "findings.csv"

    @property
    def pairs(self) -> Path:
        return self.path / "pairs.parquet"

    @property
    def settings(self) -> Path:
        return self.path / "settings.yaml"

    @property
    def notes(self) -> Path:
        return self.path / "notes.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def quarantine(self) -> Path:
        """Folder of the photos that `apply` moved, below it as they lay below the collection's root."""
        return self.path / "quarantine"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def not_duplicates(self) -> Path:
        return self.path / "not_duplicates.json"

    @property
    def decisions(self) -> Path:
        return self.path / "decisions.json"

    @property
    def class_counts(self) -> Path:
        return self.path / "class_counts.csv"

    @property
    def groups(self) -> Path:
        """Copies that `dataset.py` keeps on one side of a split."""
        return self.path / "groups.csv"

    @property
    def leaks(self) -> Path:
        return self.path / "leaks.csv"

    @property
    def archive(self) -> RunFolder | None:
        """The RUN that new photos are compared with, as the last scan was told. Raises UserError if it is gone."""
        try:
            path = Path(json.loads((self.path / _ARCHIVE).read_bytes())["run"])
        except FileNotFoundError:
            return None
        if not path.is_dir():
            raise UserError("new_against", "is not there any more", "scan again with its place, or without it", path)
        return RunFolder(path)

    def remember_archive(self, archive: RunFolder | None) -> None:
        """For `archive`; None forgets it. Raises UserError where that is no RUN."""
        if archive is None:
            (self.path / _ARCHIVE).unlink(missing_ok=True)
            return
        archive.require()
        text = json.dumps({"run": str(archive.path.resolve())})
        write_atomically(self.path / _ARCHIVE, text.encode())

    def create(self, root: Path) -> None:
        """Make this the RUN of the collection `root`, or find that it is. Raises UserError where it cannot be."""
        root = root.resolve()
        if self.path.resolve() == root:
            raise UserError("out", "is the collection itself", "give a folder of its own for the results", self.path)
        if self.path.resolve() in root.parents:
            raise UserError(
                "out", "contains the collection, and scans leave RUN folders out", "give a folder beside it", self.path
            )
        if self.marker.exists():
            if self.root != root:
                problem = f"holds the scan of {self.root}, not of {root}"
                raise UserError("out", problem, f"give another `out` for {root}", self.path)
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"format": FORMAT, "root": str(root)}, indent=1)
            write_atomically(self.marker, text.encode())
        except OSError as error:
            raise UserError(
                "out", f"cannot be written ({error.strerror})", "give a folder that can", self.path
            ) from None

    def require(self) -> None:
        """Raises UserError where this is no RUN folder that can be read."""
        self._marker()

    @property
    def root(self) -> Path:
        """The collection that this RUN belongs to. Raises UserError where this is no RUN folder that can be read."""
        return Path(self._marker()["root"])

    def _marker(self) -> dict[str, Any]:
        try:
            content = json.loads(self.marker.read_bytes())
        except FileNotFoundError:
            problem = f"{self.path}: is not a RUN folder (no {MARKER})"
            raise UserError("", problem, "python clean.py scan makes one") from None
        except (OSError, ValueError) as error:
            raise UserError("", f"{self.marker}: cannot be read ({error})", "scan into another RUN folder") from None
        if not isinstance(content, dict) or not isinstance(content.get("root"), str):
            raise UserError("", f"{self.marker}: is damaged", "scan into another RUN folder")
        if content.get("format") != FORMAT:
            raise UserError(
                "",
                f"{self.path}: was written in format {content.get('format')}, this version reads {FORMAT}",
                "use the version that wrote it, or scan into another RUN folder",
            )
        return content

    def lock(self, doing: str = "cleaning") -> AbstractContextManager[None]:
        """Hold the RUN for this process alone (siamclip/files/lock.py). Raises UserError where another holds it."""
        return hold(self.path, doing)
