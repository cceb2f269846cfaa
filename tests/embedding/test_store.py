"""The embedding store: against a dict, against damage, and against processes that are killed or work at once."""

from __future__ import annotations

import logging
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.embedding import store as store_module
from siamclip.embedding.store import EmbeddingStore

ROOT = Path(__file__).parents[2]
DIMENSION = 8


def digest(number: int) -> str:
    return xxhash.xxh3_128_hexdigest(str(number).encode())


def vector(number: int, dimension: int = DIMENSION) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(dimension).astype(np.float32)


def add(store: EmbeddingStore, *numbers: int) -> None:
    store.add([digest(n) for n in numbers], np.stack([vector(n) for n in numbers]))


def assert_holds(store: EmbeddingStore, numbers: range | set[int]) -> None:
    vectors, known = store.get([digest(n) for n in numbers])
    assert known.all()
    np.testing.assert_array_equal(vectors, np.stack([vector(n) for n in numbers]))


def parts(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def test_what_was_added_is_there_when_opened_again(tmp_path: Path) -> None:
    add(EmbeddingStore(tmp_path, "f", DIMENSION), *range(5))
    reopened = EmbeddingStore(tmp_path, "f", DIMENSION)
    assert len(reopened) == 5
    assert_holds(reopened, range(5))


def test_unknown_contents_are_nan(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    add(store, 1)
    vectors, known = store.get([digest(2), digest(1)])
    assert known.tolist() == [False, True]
    assert np.isnan(vectors[0]).all()
    np.testing.assert_array_equal(vectors[1], vector(1))
    assert vectors.dtype == np.float32
    assert store.get([])[0].shape == (0, DIMENSION)


def test_rows_of_unreadable_photos_are_not_remembered(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    store.add([digest(1)], np.full((1, DIMENSION), np.nan, np.float32))
    assert len(store) == 0
    assert parts(tmp_path) == []


def test_another_fingerprint_knows_nothing(tmp_path: Path) -> None:
    add(EmbeddingStore(tmp_path, "one", DIMENSION), 1)
    assert len(EmbeddingStore(tmp_path, "other", DIMENSION)) == 0


def test_without_a_folder_it_remembers_in_memory() -> None:
    store = EmbeddingStore(None, "f", DIMENSION)
    add(store, 1, 2)
    add(store, 3)
    assert_holds(store, {1, 2, 3})


def test_adding_the_same_again_writes_nothing(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    add(store, 1, 2)
    before = parts(tmp_path)
    add(store, 2, 1, 1)
    assert parts(tmp_path) == before


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 30), min_size=1)), max_size=25))
def test_three_that_work_at_once_end_as_one_dict(steps: list[tuple[int, list[int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "MERGE_FROM", 3)
        stores = [EmbeddingStore(Path(folder), "f", DIMENSION) for _ in range(3)]
        for which, numbers in steps:
            add(stores[which], *numbers)
            assert_holds(stores[which], set(numbers))
        expected = {n for _, numbers in steps for n in numbers}
        reopened = EmbeddingStore(Path(folder), "f", DIMENSION)
        assert len(reopened) == len(expected)
        if expected:
            assert_holds(reopened, expected)


def test_many_small_parts_become_few(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    for n in range(3 * store_module.MERGE_FROM):
        add(store, n)
        assert len(parts(tmp_path)) < store_module.MERGE_FROM
    assert_holds(store, range(3 * store_module.MERGE_FROM))
    assert_holds(EmbeddingStore(tmp_path, "f", DIMENSION), range(3 * store_module.MERGE_FROM))


def test_large_parts_are_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SMALL_PART", 10)
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    add(store, *range(10))
    (large,) = parts(tmp_path)
    written = large.stat().st_mtime_ns, large.stat().st_ino
    for n in range(10, 10 + 2 * store_module.MERGE_FROM):
        add(store, n)
    assert (large.stat().st_mtime_ns, large.stat().st_ino) == written
    assert_holds(store, range(10 + 2 * store_module.MERGE_FROM))


@pytest.mark.parametrize("damage", ["truncated", "flipped", "emptied", "replaced"])
def test_a_damaged_part_is_forgotten_with_a_warning(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    add(store, 1, 2)
    (damaged,) = parts(tmp_path)
    add(store, 3)
    content = bytearray(damaged.read_bytes())
    content[-3] ^= 1
    damaged.unlink()
    damaged.write_bytes({"truncated": content[:-10], "flipped": content, "emptied": b"", "replaced": b"text"}[damage])
    with caplog.at_level(logging.WARNING):
        reopened = EmbeddingStore(tmp_path, "f", DIMENSION)
    assert "damaged" in caplog.text
    assert damaged.name in caplog.text
    assert reopened.get([digest(1), digest(2), digest(3)])[1].tolist() == [False, False, True]
    add(reopened, 1, 2)
    caplog.clear()
    assert_holds(EmbeddingStore(tmp_path, "f", DIMENSION), {1, 2, 3})
    assert caplog.text == ""


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_pickle_in_the_folder_is_not_executed(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap works where pickles are executed"
    sprung.unlink()
    planted = tmp_path / "planted.npy"
    np.save(planted, np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    folder = tmp_path / "cache" / "f"
    folder.mkdir(parents=True)
    planted.rename(folder / f"{xxhash.xxh3_128_hexdigest(planted.read_bytes())}.npy")
    assert len(EmbeddingStore(tmp_path / "cache", "f", DIMENSION)) == 0
    assert not sprung.exists()


def test_a_folder_that_cannot_be_written_warns_once_and_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder can be made below a file, not even by root")
    store = EmbeddingStore(tmp_path / "file" / "cache", "f", DIMENSION)
    with caplog.at_level(logging.WARNING):
        add(store, 1)
        add(store, 2)
    assert len(caplog.records) == 1
    assert "cannot be kept" in caplog.text
    assert_holds(store, {1, 2})


def test_half_written_files_of_the_dead_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    old, fresh = folder / ".a.npy.1.part", folder / ".b.npy.2.part"
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    EmbeddingStore(tmp_path, "f", DIMENSION)
    assert not old.exists()
    assert fresh.exists()


# Adds parts of three photos for ever, from the first number on, and says so after each.
WRITER = """
import sys
from pathlib import Path
import numpy as np, xxhash
from siamclip.embedding.store import EmbeddingStore
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = EmbeddingStore(folder, "f", 8)
for n in range(first, last, 3):
    numbers = range(n, min(n + 3, last))
    store.add([xxhash.xxh3_128_hexdigest(str(i).encode()) for i in numbers],
              np.stack([np.random.default_rng(i).standard_normal(8).astype(np.float32) for i in numbers]))
    print(numbers[-1], flush=True)
"""


def start_writer(folder: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(last)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_writer_that_is_killed_loses_nothing_it_had_added(tmp_path: Path) -> None:
    chance = random.Random(0)
    added: set[int] = set()
    for attempt in range(6):
        first = 100_000 * attempt
        writer = start_writer(tmp_path, first, first + 100_000)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        writer.wait()
        added |= set(range(first, max(said, default=first + 2) + 1))
        assert_holds(EmbeddingStore(tmp_path, "f", DIMENSION), added)
    assert len(added) > 18, "some were killed in the middle of their work"


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    ranges = ((0, 120), (60, 180), (0, 180))
    writers = [start_writer(tmp_path, *numbers) for numbers in ranges]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    store = EmbeddingStore(tmp_path, "f", DIMENSION)
    assert len(store) == 180
    assert_holds(store, range(180))
