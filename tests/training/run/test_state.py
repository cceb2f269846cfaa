"""Where a run stands: its means, when it is over, and whether its photos are still the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from siamclip.errors import UserError
from siamclip.training.run.state import Progress, photos_fingerprint, saved_metadata


def test_means_are_those_of_the_batches_so_far() -> None:
    progress = Progress(learning_rate=1e-4)
    assert progress.means() == {"learning_rate": 1e-4}
    for loss, active in ((1.0, 0.5), (3.0, 1.0)):
        progress.add({"loss": loss, "active_negatives": active})
    assert progress.means() == {"loss": 2.0, "active_negatives": 0.75, "learning_rate": 1e-4}


@pytest.mark.parametrize(
    ("epoch", "stale", "patience", "over"),
    [(3, 0, 0, False), (5, 0, 0, True), (3, 2, 2, True), (3, 1, 2, False), (3, 9, 0, False)],
)
def test_a_run_is_over_after_its_epochs_or_its_patience(epoch: int, stale: int, patience: int, over: bool) -> None:
    assert Progress(epoch=epoch, stale_epochs=stale).is_over(5, patience) == over


def test_the_fingerprint_knows_names_order_and_sizes(tmp_path: Path) -> None:
    names = ["a/1.jpg", "b/1.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"1234")
    before = photos_fingerprint(tmp_path, names)
    assert photos_fingerprint(tmp_path, names) == before
    assert photos_fingerprint(tmp_path, names[::-1]) != before
    assert photos_fingerprint(tmp_path, names[:1]) != before
    (tmp_path / names[0]).write_bytes(b"12345")
    assert photos_fingerprint(tmp_path, names) != before


def test_a_run_that_has_saved_nothing_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"resume: .*saved nothing yet.*leave resume out"):
        saved_metadata(tmp_path / "run" / "last")
