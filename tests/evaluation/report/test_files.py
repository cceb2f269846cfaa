"""The folder of a report: what it may not be, before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.errors import UserError
from siamclip.evaluation.report.files import claim_folder


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="is not empty"):
        claim_folder(tmp_path, [])
    with pytest.raises(UserError, match="lies among the photos"):
        claim_folder(tmp_path / "photos" / "reports", [tmp_path / "photos"])
    with pytest.raises(UserError, match="cannot be used"):
        claim_folder(tmp_path / "mine.txt", [])
    (tmp_path / "metrics.json").touch()
    claim_folder(tmp_path, [])
