"""Scans of many small files: the second against the first, memory while it runs, a scan that is killed and goes on.

python benchmarks/scan_resume.py                    # renders 100,000 small JPEGs into a temporary folder
python benchmarks/scan_resume.py --number 10000     # fewer

Each scan runs in a process of its own, and its time is that of the whole process, imports included. Memory is that
of the scan and of its workers, looked at every half second (Linux only; elsewhere it is not shown).
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.errors import UserError, exit_on_user_error

FOLDERS = 100
ROUNDS = 3  # of the second scan; the best counts, as the file system's cache is warm for the first as well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scorers", help="comma-separated; those that a scan runs by default")
    parser.add_argument("--scan", nargs=2, type=Path, metavar=("DATA", "RUN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.scan:
        data, run = arguments.scan
        print(json.dumps(_scan(data, run, arguments)))
        return

    from benchmarks.machine import machine

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        _render(data, arguments.number)
        print(machine(), flush=True)
        first = _Scan(data, Path(folder) / "run", arguments).finished()
        again = min((_Scan(data, Path(folder) / "run", arguments).finished() for _ in range(ROUNDS)), key=_seconds)
        part = data / "0000"
        killed = _Scan(part, Path(folder) / "killed", arguments).killed(_half_done(Path(folder) / "killed", part))
        rest = _Scan(part, Path(folder) / "killed", arguments).finished()
    kept, total = rest.summary["unchanged"], rest.summary["files"]
    print(f"killed after {killed.seconds:.1f} s of {total} files, then continued: {kept} were kept, {rest.read} read")
    for name, row in (("main process", first.main_mb), ("workers", first.workers_mb)):
        print(f"memory of the {name}, MB, at a quarter, half, three quarters and the end: {_quarters(row)}")
    print(
        f"first scan {first.seconds:.1f} s ({first.summary['read'] / first.summary['seconds']:.0f} files/s), second "
        f"{again.seconds:.2f} s with {again.read} files read: {first.seconds / again.seconds:.0f} times as fast "
        f"({first.summary['seconds'] / again.summary['seconds']:.0f} times without Python's start)"
    )


def _scan(data: Path, run: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    import dataclasses

    from siamclip.cleaning.method_table import SCORERS
    from siamclip.cleaning.scan.scan import scan_collection

    names = [name for name, scorer in SCORERS.items() if scorer.default]
    chosen = arguments.scorers.split(",") if arguments.scorers else names
    return dataclasses.asdict(scan_collection(data, run, scorers=chosen, workers=arguments.workers))


class _Scan:
    """A scan in a process of its own."""

    def __init__(self, data: Path, run: Path, arguments: argparse.Namespace) -> None:
        flags = ["--workers", str(arguments.workers), *(("--scorers", arguments.scorers) if arguments.scorers else ())]
        command = [sys.executable, __file__, "--scan", str(data), str(run), *flags]
        self._started = time.perf_counter()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.main_mb: list[float] = []
        self.workers_mb: list[float] = []
        self.seconds = 0.0
        self.summary: dict[str, Any] = {}

    @property
    def read(self) -> int:
        return int(self.summary["read"])

    def finished(self) -> _Scan:
        while True:
            try:
                output, _ = self._process.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                self._look()
        self.seconds = time.perf_counter() - self._started
        if self._process.returncode:
            raise UserError("the scan failed; what went wrong stands above")
        self.summary = json.loads(output.splitlines()[-1])
        return self

    def killed(self, when: Callable[[], bool]) -> _Scan:
        while not when():
            if self._process.poll() is not None:
                raise UserError("the scan was over before it could be killed; give a larger --number")
            time.sleep(0.02)
        self.seconds = time.perf_counter() - self._started
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        return self

    def _look(self) -> None:
        """Adds what the processes hold now; nothing where there is no /proc."""
        if not Path("/proc/self/status").exists():
            return
        names = [path.name for path in Path("/proc").glob("[0-9]*")]
        sizes = [_megabytes(name) for name in names if _status(name).get("PPid") == str(self._process.pid)]
        self.main_mb.append(_megabytes(str(self._process.pid)))
        self.workers_mb.append(max(sizes, default=0.0))


def _status(process: str) -> dict[str, str]:
    try:
        lines = Path("/proc", process, "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # it ended
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _megabytes(process: str) -> float:
    return float(_status(process).get("VmRSS", "0 kB").split()[0]) / 1024


def _quarters(row: list[float]) -> str:
    return ", ".join(f"{row[max(0, len(row) * i // 4 - 1)]:.0f}" for i in range(1, 5)) if len(row) > 8 else "not known"


def _seconds(scan: _Scan) -> float:
    return scan.seconds


def _half_done(run: Path, data: Path) -> Callable[[], bool]:
    """Whether the parts on the disk name half of the files."""
    total = len(list(data.iterdir()))

    def rows() -> int:
        import pyarrow.parquet as pq

        return sum(pq.read_metadata(path).num_rows for path in (run / "scan" / "parts").glob("files-*.parquet"))

    return lambda: rows() >= total / 2


def _render(data: Path, number: int) -> None:
    """JPEGs of 32 to 64 pixels a side, all different, a fifth of them in the first of the folders."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for i in range(number):
        path = data / f"{0 if i < number // 5 else i % FOLDERS:04}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = rng.integers(32, 65, 2).tolist()
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        _, encoded = cv2.imencode(".jpg", cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
        path.write_bytes(encoded.tobytes())


if __name__ == "__main__":
    with exit_on_user_error():
        main()
