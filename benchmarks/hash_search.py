"""Pairs of 64-bit hashes within 5 bits: ours against FAISS flat and imagededup: time, memory, the same pairs.

python benchmarks/hash_search.py                                   # 10,000, 100,000 and 1,000,000 random hashes
python benchmarks/hash_search.py --kind skewed --sizes 100000      # bits as uneven as those of real photos
python benchmarks/hash_search.py --imagededup_python OTHER/bin/python    # where imagededup is installed elsewhere

A tenth of the hashes are copies of others with 1 to 7 bits flipped. Each side runs in a process of its own; its
memory is what its peak grew by over the libraries and the hashes, and that of its largest worker. Compiling our
kernels, once a machine, is not counted and shown apart. A side that would take longer than --patience, by the square
of its last size, is left out. Up to --oracle hashes the pairs of every side are compared with those of a loop over
all. imagededup takes minutes for 10,000.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from siamclip.errors import UserError, exit_on_user_error

CopyPairs = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--kind", choices=("random", "skewed"), default="random")
    parser.add_argument("--threshold", type=int, default=5)
    parser.add_argument("--oracle", type=int, default=20_000, help="hashes up to which the pairs are checked")
    parser.add_argument("--patience", type=float, default=120, help="seconds that a side may be expected to take")
    parser.add_argument("--imagededup_python", default=sys.executable, help="an interpreter that has imagededup")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measured(arguments.side, arguments.folder, arguments.threshold)))
        return

    from benchmarks.machine import machine

    print(machine())
    spent: dict[str, tuple[int, float]] = {}
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            hashes = drawn_hashes(size, arguments.kind)
            np.save(Path(folder) / "hashes.npy", hashes)
            print(f"{len(hashes):,} {arguments.kind} hashes, within {arguments.threshold} bits")
            _compared(hashes, Path(folder), arguments, spent)


def drawn_hashes(number: int, kind: str, seed: int = 0) -> np.ndarray:
    """(N,) uint64, all different; a few fewer than `number` where some came out equal."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
    else:
        # Light falling off in some direction over 8 x 8 pixels, with grain: neighbouring bits mostly agree.
        y, x = np.mgrid[-1:1:8j, -1:1:8j]
        light = rng.normal(0, 1, (number, 4)).astype(np.float32) @ np.stack([x, y, x * y, x * x - y * y]).reshape(4, 64)
        bits = light + rng.normal(0, 1, (number, 64)) > 0
        hashes = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    copies = number // 10
    flips = np.zeros(copies, np.uint64)
    for _ in range(7):
        flips |= np.where(rng.random(copies) < 0.6, np.uint64(1) << rng.integers(0, 64, copies).astype(np.uint64), 0)
    hashes[:copies] = hashes[-copies:] ^ flips
    return rng.permutation(np.unique(hashes))


def _compared(
    hashes: np.ndarray, folder: Path, arguments: argparse.Namespace, spent: dict[str, tuple[int, float]]
) -> None:
    expected = _pair_set(naive(hashes, arguments.threshold)) if len(hashes) <= arguments.oracle else None
    ours: dict[str, Any] | None = None
    for side in sorted(arguments.sides, key=lambda name: name != "ours"):
        if side in spent and side != "ours":
            size, seconds = spent[side]
            if (expected_seconds := seconds * (len(hashes) / size) ** 2) > arguments.patience:
                ratio = f", {expected_seconds / ours['seconds']:,.0f} times ours" if ours else ""
                print(f"  {side:16} left out: {expected_seconds:,.0f} s by the square of its last size{ratio}")
                continue
        found = _apart(side, folder, arguments)
        if found is None:
            print(f"  {side:16} left out: {arguments.imagededup_python} has no imagededup (pip install imagededup)")
            continue
        spent[side] = len(hashes), found["seconds"]
        line = f"  {side:16} {found['seconds']:8.2f} s  {found['grown_mb']:6.0f} MB more  {found['pairs']:,} pairs"
        if expected is not None:
            same = _pair_set(np.load(folder / "pairs.npy")) == expected
            line += ", those of the loop" if same else f", NOT the {len(expected):,} of the loop"
        if side == "ours":
            ours = found
            line += f"; peak {found['peak_mb']:.0f} MB in all, {found['warm_up']:.1f} s to load or compile before"
        elif ours:
            line += f"; ours {found['seconds'] / ours['seconds']:,.1f} times as fast"
        print(line, flush=True)


def naive(hashes: np.ndarray, threshold: int) -> np.ndarray:
    """(P, 2): a loop over all hashes."""
    found = []
    for i in range(len(hashes) - 1):
        near = np.flatnonzero(np.bitwise_count(hashes[i + 1 :] ^ hashes[i]) <= threshold)
        found.append(np.stack([np.full(len(near), i), near + i + 1], axis=1))
    return np.concatenate(found)


def _pair_set(pairs: np.ndarray) -> set[tuple[int, int]]:
    return set(map(tuple, pairs.tolist()))


def _apart(side: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The answer of one side, run in a new process; None where it is not installed."""
    python = arguments.imagededup_python if side.startswith("imagededup") else sys.executable
    if side.startswith("imagededup"):
        asked = "import importlib.util, sys; sys.exit(importlib.util.find_spec('imagededup') is None)"
        if subprocess.run([python, "-c", asked], check=False).returncode:
            return None
    command = [python, __file__, "--side", side, "--folder", str(folder), "--threshold", str(arguments.threshold)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{side}: the measurement failed; what went wrong stands above")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measured(side: str, folder: Path, threshold: int) -> dict[str, float]:
    hashes = np.load(folder / "hashes.npy")
    search = SIDES[side]()
    started = time.perf_counter()
    search(hashes[:1000], threshold)
    if side == "ours":  # both of its kernels
        search(hashes[:20_000], threshold)
    warm_up = time.perf_counter() - started
    before = _peak_mb()
    started = time.perf_counter()
    first, second = search(hashes, threshold)
    seconds = time.perf_counter() - started
    peak = _peak_mb()
    np.save(folder / "pairs.npy", np.stack([first, second], axis=1).astype(np.int64))
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10  # the largest of them
    return {
        "seconds": seconds,
        "grown_mb": peak - before + workers,
        "peak_mb": peak + workers,
        "pairs": len(first),
        "warm_up": warm_up,
    }


def _peak_mb() -> float:
    """Of this process. Linux counts the parent's memory in ru_maxrss of a process that it started."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours() -> Callable[[np.ndarray, int], CopyPairs]:
    from siamclip.cleaning.duplicates.hashing.hash_search import hash_pairs_within

    return lambda hashes, threshold: hash_pairs_within(hashes, threshold)[:2]


def faiss_flat() -> Callable[[np.ndarray, int], CopyPairs]:
    """Every hash asks for its neighbours, in blocks; the answers hold each pair twice and every hash itself."""
    import faiss

    def search(hashes: np.ndarray, threshold: int) -> CopyPairs:
        codes = hashes.view(np.uint8).reshape(-1, 8)
        index = faiss.IndexBinaryFlat(64)
        index.add(codes)
        found = []
        for start in range(0, len(codes), 4096):
            limits, _, near = index.range_search(codes[start : start + 4096], threshold + 1)  # strictly below it
            number = limits[1:].astype(np.int64) - limits[:-1].astype(np.int64)
            asked = np.repeat(np.arange(start, start + len(number)), number)
            found.append(np.stack([asked, near])[:, asked < near])
        first, second = np.concatenate(found, axis=1)
        return first, second

    return search


def _imagededup(method: str) -> Callable[[np.ndarray, int], CopyPairs]:
    from imagededup.methods import PHash

    logging.disable(logging.INFO)

    def search(hashes: np.ndarray, threshold: int) -> CopyPairs:
        encodings = {str(i): f"{int(value):016x}" for i, value in enumerate(hashes)}
        found = PHash(verbose=False).find_duplicates(
            encoding_map=encodings, max_distance_threshold=threshold, search_method=method
        )
        pairs = [(int(one), int(other)) for one, near in found.items() for other in near if int(one) < int(other)]
        first, second = np.array(pairs, np.int64).reshape(-1, 2).T
        return first, second

    return search


SIDES: dict[str, Callable[[], Callable[[np.ndarray, int], CopyPairs]]] = {
    "ours": ours,
    "faiss flat": faiss_flat,
    "imagededup cython": lambda: _imagededup("brute_force_cython"),
    "imagededup bktree": lambda: _imagededup("bktree"),
}


if __name__ == "__main__":
    with exit_on_user_error():
        main()
