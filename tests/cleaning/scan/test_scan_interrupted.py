"""However a scan ends, what it found is kept, and the next one goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from siamclip.cleaning.scan import pool as worker_pool
from siamclip.cleaning.scan.table import file_table
from siamclip.cleaning.scan.table.photo_table import open_photos
from siamclip.errors import UserError
from tests.cleaning.scanned_folders import number_of, photo, photos, scanned
from tests.cleaning.tiny_scorers import CALLS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one line for every photo that the scorer `mean` saw since it was last removed."""
    file = tmp_path / "calls"
    monkeypatch.setenv(CALLS, str(file))
    return file


def test_ctrl_c_keeps_what_was_read(tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 100)
    received = []
    receive = worker_pool._Worker.receive

    def interrupted(worker: worker_pool._Worker) -> object:
        result = receive(worker)
        received.extend([result] if result is not None else [])
        if len(received) == 2:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(worker_pool._Worker, "receive", interrupted)
        scanned(data, run)
    with pytest.raises(UserError, match="holds a scan that was interrupted"):
        open_photos(run)
    kept = len(received[0].files)
    summary = scanned(data, run)
    assert 0 < kept < 100 and (summary.unchanged, summary.read) == (kept, 100 - kept)
    assert len(open_photos(run)) == 100


KILLED = """
import sys
from pathlib import Path
from siamclip.cleaning.scan import writer
from siamclip.cleaning.scan.scan import scan_collection
from tests.cleaning.tiny_scorers import MEAN
writer.ROWS_A_PART = 100
if __name__ == "__main__":
    scan_collection(Path(sys.argv[1]), Path(sys.argv[2]), scorers=[MEAN], workers=2)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs kill -9")
def test_a_killed_scan_goes_on(tmp_path: Path, calls: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 3000)
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "killed.py"), str(data), str(run)]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)
    while len(list((run / "scan" / "parts").glob("files-*"))) < 2:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while _members(process.pid):  # its workers end by themselves
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (run / "scan" / "files.parquet").exists()
    before = number_of(calls)
    summary = scanned(data, run, workers=2)
    assert summary.files == 3000 and summary.unchanged >= 200 and summary.read == 3000 - summary.unchanged
    assert number_of(calls) == summary.read <= 3000 - 200 < before + summary.read
    table = open_photos(run)
    expected = [(i % 256 + i // 256 + 99) / 3 for i in (int(Path(path).stem) for path in table.paths)]
    np.testing.assert_allclose(table.columns["mean"], expected, rtol=1e-12)


def _members(group: int) -> list[str]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(status.parent.name)
    return found


def test_a_full_disk_is_one_line_and_what_was_saved_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 6)
    scanned(data, run)
    photo(data / "new.png", (100, 0, 0))
    write = file_table.write_atomically

    def full(path: Path, content: bytes) -> None:
        if path.suffix == ".parquet":
            raise OSError(28, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patched, pytest.raises(UserError, match=r"cannot be saved \(No space left"):
        patched.setattr(file_table, "write_atomically", full)
        scanned(data, run)
    summary = scanned(data, run)
    assert (summary.unchanged, summary.read) == (6, 1)


def test_a_damaged_part_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    photos(data, 6)
    scanned(data, run)
    (part,) = (run / "scan" / "parts").glob("features-*")
    content = part.read_bytes()
    part.write_bytes(content[:100] + bytes(20) + content[120:])
    summary = scanned(data, run)
    assert summary.read == 6 and "is damaged" in caplog.text
    assert len(open_photos(run).columns["mean"]) == 6
    (run / "scan" / "files.parquet").write_bytes(b"")
    summary = scanned(data, run)
    assert (summary.files, summary.read, summary.unreadable) == (6, 6, 0)
