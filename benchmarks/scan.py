"""Scanning 1260 x 840 JPEGs in two processes: ours against cleanvision and imagededup on the same files.

python benchmarks/scan.py --peer PYTHON      # PYTHON: an interpreter that has cleanvision (and imagededup, if wanted)
python benchmarks/scan.py --photos FOLDER    # on the photos below FOLDER instead of rendered ones

cleanvision's `find_issues` looks for dark, light, blurry, low entropy, odd size, odd aspect, grey, exact and near
duplicates. "same checks" is what answers these; "everything" is every scorer that clean.py has but no network.
Each side runs in a process of its own, in turns; a run includes starting its worker processes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from siamclip.cleaning.method_table import METHODS, SCORERS
from siamclip.errors import UserError, exit_on_user_error

PROCESSES = 2
SAME_CHECKS = ("file", "pixels", "perceptual", "laplacian", "exposure")
SAME_METHODS = (
    "unreadable", "colour_space", "too_small", "aspect_ratio", "laplacian", "under_exposed", "over_exposed",
    "intensity", "low_contrast", "exact", "pixels", "phash",
)  # fmt: skip

CLEANVISION = """
import sys, time, warnings
warnings.filterwarnings("ignore")
from cleanvision import Imagelab
start = time.perf_counter()
lab = Imagelab(data_path=sys.argv[1], verbose=False)
lab.find_issues(n_jobs=int(sys.argv[2]), verbose=False)
print(len(lab.issues) / (time.perf_counter() - start))
"""
IMAGEDEDUP = """
import sys, time, warnings
warnings.filterwarnings("ignore")
from imagededup.methods import PHash
start = time.perf_counter()
hashes = PHash(verbose=False).encode_images(sys.argv[1], recursive=True, num_enc_workers=int(sys.argv[2]))
print(len(hashes) / (time.perf_counter() - start))
"""


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photos instead of rendered ones")
    parser.add_argument("--number", type=int, default=600, help="photos that are rendered (default 600)")
    parser.add_argument("--rounds", type=int, default=3, help="times that each side is measured (default 3)")
    parser.add_argument("--peer", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--side", choices=OURS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(OURS[arguments.side](arguments.photos)))
        return
    from benchmarks.machine import machine
    from benchmarks.photos import render_photos

    peers = {name: code for name, code in PEERS.items() if _has(arguments.peer, name)}
    if not peers:
        raise UserError(f"--peer {arguments.peer}: has neither cleanvision nor imagededup; pip install them there")
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.photos or Path(folder) / "photos"
        if arguments.photos is None:
            render_photos(photos, arguments.number, identities=20)
        print(machine())
        rates: dict[str, list[float]] = {}
        for _ in range(arguments.rounds):
            for side in OURS:
                command = [sys.executable, __file__, "--photos", str(photos), "--side", side]
                rates.setdefault(side, []).append(_rate(command))
            for name, code in peers.items():
                rates.setdefault(name, []).append(_rate([arguments.peer, "-c", code, str(photos), str(PROCESSES)]))
    best = {side: max(found) for side, found in rates.items()}
    for side, rate in best.items():
        print(f"{side}: {rate:.1f} images/s")
    for side, peer in (("same checks", "cleanvision"), ("everything", "cleanvision"), ("hashes", "imagededup")):
        if peer in best:
            print(f"scan, {side}: {best[side] / best[peer]:.1f} times as fast as {peer}")


def _scan(photos: Path, scorers: tuple[str, ...], methods: tuple[str, ...]) -> float:
    """Photos a second, of a scan into an empty run and of the methods on it."""
    from siamclip.cleaning.find.run_methods import run_methods
    from siamclip.cleaning.run_folder import RunFolder
    from siamclip.cleaning.scan.scan import scan_collection
    from siamclip.cleaning.scan.table.photo_table import open_photos

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run = RunFolder(Path(folder) / "run")
        scan_collection(photos, run, scorers=scorers, workers=PROCESSES)
        table = open_photos(run)
        run_methods(table, [METHODS[name] for name in methods], {})
        return len(table) / (time.perf_counter() - start)


def _same_checks(photos: Path) -> float:
    return _scan(photos, SAME_CHECKS, SAME_METHODS)


def _everything(photos: Path) -> float:
    needing_more = {"embedding", "labels", "iqa"}
    methods = [m.name for m in METHODS.values() if not needing_more & set(m.needs) and m.name != "object_area"]
    return _scan(photos, tuple(SCORERS), tuple(methods))


def _hashes(photos: Path) -> float:
    return _scan(photos, ("perceptual",), ())


def _has(python: str, module: str) -> bool:
    return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _rate(command: list[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[:3]}: {done.stderr[-2000:]}")
    return float(done.stdout.strip().splitlines()[-1])


OURS: dict[str, Callable[[Path], float]] = {"same checks": _same_checks, "everything": _everything, "hashes": _hashes}
PEERS = {"cleanvision": CLEANVISION, "imagededup": IMAGEDEDUP}


if __name__ == "__main__":
    main()
