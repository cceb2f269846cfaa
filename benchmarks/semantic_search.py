"""Pairs of embeddings above a cosine: our exact search against FAISS flat, IVF and HNSW: time, memory, recall.

python benchmarks/semantic_search.py                         # 10,000 and 50,000 vectors of 512 values
python benchmarks/semantic_search.py --sizes 200000 --sides exact ivf clusters

Clustered vectors drawn at random: an identity has about 20 photos at a cosine of 0.74, a fifth are copies of others,
around the threshold. Each side runs in a process of its own; its memory is what its peak grew by over the libraries
and the vectors. Recall: of the pairs that the exact search finds. IVF, HNSW and clusters run as in the method
`semantic`, without the measurement of their recall.
"""

from __future__ import annotations

import argparse
import json
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

DIMENSION = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--threshold", type=float, default=0.95)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--vectors", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measured(SIDES[arguments.side], np.load(arguments.vectors), arguments.threshold)))
        return

    from benchmarks.machine import machine

    print(machine())
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            vectors = Path(folder) / "vectors.npy"
            np.save(vectors, clustered_vectors(size))
            base = vectors.stat().st_size / 2**20
            print(f"{size:,} vectors, {base:.0f} MB, cosine >= {arguments.threshold}")
            exact: dict[str, Any] | None = None
            for side in sorted(arguments.sides, key=lambda name: name != "exact"):
                found = _apart(side, vectors, arguments.threshold)
                line = (
                    f"  {side:8} {found['seconds']:8.2f} s  {found['grown_mb']:6.0f} MB more  {found['pairs']:,} pairs"
                )
                if side == "exact":
                    exact = found
                elif exact is not None:
                    recall = found["pairs"] / exact["pairs"] if exact["pairs"] else 1.0
                    line += f"  recall {recall:.4f}  exact is {found['seconds'] / exact['seconds']:.1f} times as fast"
                print(line + f"  {found['notes']}", flush=True)


def clustered_vectors(number: int, seed: int = 0) -> np.ndarray:
    """(N, DIMENSION) float32 unit vectors."""
    rng = np.random.default_rng(seed)
    identities = rng.standard_normal((max(1, number // 20), DIMENSION), dtype=np.float32)
    vectors = identities[rng.integers(0, len(identities), number)]
    vectors += np.float32(0.6) * rng.standard_normal(vectors.shape, dtype=np.float32)
    copies = number // 5
    noise = rng.uniform(0.05, 0.45, (copies, 1)).astype(np.float32)
    vectors[:copies] = vectors[rng.integers(copies, number, copies)]
    vectors[:copies] += noise * rng.standard_normal((copies, DIMENSION), dtype=np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _apart(side: str, vectors: Path, threshold: float) -> dict[str, Any]:
    """The answer of one side, run in a new process."""
    command = [sys.executable, __file__, "--side", side, "--vectors", str(vectors), "--threshold", str(threshold)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{side}: the measurement failed; what went wrong stands above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _measured(search: Callable[[np.ndarray, float], tuple[int, Any]], vectors: np.ndarray, threshold: float) -> Any:
    search(vectors[:500], threshold)  # imports and threads
    forget = Path("/proc/self/clear_refs")
    if forget.exists():  # Linux: the peak starts again from what is in use now
        forget.write_text("5", encoding="ascii")
    before = _peak_mb()
    started = time.perf_counter()
    pairs, notes = search(vectors, threshold)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "pairs": pairs, "notes": notes or "", "grown_mb": _peak_mb() - before}


def _peak_mb() -> float:
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent held when this process was started
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def exact(vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    from siamclip.cleaning.duplicates.cosine.cosine_search import pairs_above

    return len(pairs_above(vectors, threshold)), None


def flat(vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    """faiss.IndexFlatIP, asked for each vector's range, as its wiki shows; every pair comes twice, and itself once."""
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    limits, _, found = index.range_search(vectors, threshold)
    asked = np.repeat(np.arange(len(vectors)), np.diff(limits).astype(np.int64))
    return int((asked < found).sum()), None


def ivf(vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    return _by_index("ivf", vectors, threshold)


def hnsw(vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    return _by_index("hnsw", vectors, threshold)


def _by_index(kind: str, vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    from siamclip.cleaning.duplicates.cosine.faiss_index import pairs_by_index

    found, notes = pairs_by_index(kind, vectors, threshold, np.ones(len(vectors), bool))
    return len(found), notes


def clusters(vectors: np.ndarray, threshold: float) -> tuple[int, Any]:
    from siamclip.cleaning.duplicates.cosine.clusters import kmeans_clusters, number_of_clusters, pairs_in_clusters

    number = number_of_clusters(len(vectors))
    everyone = np.ones(len(vectors), bool)
    found, _ = pairs_in_clusters(
        vectors, kmeans_clusters(vectors, number), threshold, everyone, np.arange(len(vectors))
    )
    return len(found), {"clusters": number}


SIDES = {"exact": exact, "flat": flat, "ivf": ivf, "hnsw": hnsw, "clusters": clusters}


if __name__ == "__main__":
    with exit_on_user_error():
        main()
