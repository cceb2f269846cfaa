"""The cache of noise maps: what it remembers, what it forgets, and what it survives."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from siamclip.augmentation.fusion import noise_cache
from siamclip.augmentation.fusion.noise_cache import NoiseCache, key_of, seed_of

ROOT = Path(__file__).resolve().parents[3]
LARGE = 1 << 30


def _key(number: int) -> str:
    return f"{number:032x}"


def _stack(number: int, slots: int = 2) -> torch.Tensor:
    return torch.randn(slots, 3, 4, 4, generator=torch.Generator().manual_seed(number))


def _own(folder: Path) -> dict[str, int]:
    """Key -> bytes."""
    return {path.name.partition(".")[0]: path.stat().st_size for path in folder.glob("*.noise-maps")}


@lru_cache
def _size(slots: int) -> int:
    """Bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        NoiseCache(Path(folder), LARGE).put(_key(0), _stack(0, slots))
        return sum(_own(Path(folder)).values())


def test_a_stack_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache = NoiseCache(tmp_path / "new" / "folder", LARGE)
    stack = _stack(1)
    stack[0, 0, 0, 0] = -0.0
    assert cache.get(_key(1)) is None
    cache.put(_key(1), stack.transpose(2, 3))  # not contiguous
    for reader in (cache, NoiseCache(tmp_path / "new" / "folder", LARGE)):
        found = reader.get(_key(1))
        assert found is not None and found.dtype == torch.float32
        assert found.numpy().tobytes() == stack.transpose(2, 3).contiguous().numpy().tobytes()
    assert (cache.stats.hits, cache.stats.misses) == (1, 1)
    assert cache.stats.stored_bytes == sum(_own(tmp_path / "new" / "folder").values())
    found.zero_()  # whoever got it may write into it
    assert cache.get(_key(1)).abs().sum() > 0


@settings(max_examples=40)
@given(
    budget=st.integers(1, 9000),
    uses=st.lists(st.tuples(st.sampled_from(["put", "get", "other"]), st.integers(0, 5)), max_size=14),
)
def test_what_was_used_longest_ago_makes_room(budget: int, uses: list[tuple[str, int]]) -> None:
    """Against a list in the order of use. Stack n has n + 1 slots; "other" is a put by a second process's cache."""
    sizes = [_size(number + 1) for number in range(6)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = NoiseCache(folder, budget)
        known: list[int] = []
        for use, number in uses:
            if use == "get":
                assert (cache.get(_key(number)) is not None) == (number in known)
                if number in known:
                    known.append(known.pop(known.index(number)))
                continue
            (NoiseCache(folder, budget) if use == "other" else cache).put(_key(number), _stack(number, number + 1))
            if number in known:
                known.remove(number)
            elif sizes[number] > budget:
                continue
            while sum(sizes[i] for i in known) + sizes[number] > budget:
                known.pop(0)
            known.append(number)
            stored = _own(folder)
            assert stored.keys() == {_key(i) for i in known}
            assert sum(stored.values()) <= budget


def test_the_order_of_use_survives_a_clock_that_stands_still_or_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = _size(2)
    clock = iter([10**18, 10**18, 10**18, 10**17, 10**16, 10**16])
    monkeypatch.setattr(noise_cache.time, "time_ns", lambda: next(clock))
    cache = NoiseCache(tmp_path, 3 * size)
    for number in (1, 2, 3):
        cache.put(_key(number), _stack(number))
    assert cache.get(_key(1)) is not None  # a year earlier, by the clock
    cache.put(_key(4), _stack(4))
    assert _own(tmp_path).keys() == {_key(1), _key(3), _key(4)}


def test_a_smaller_budget_shrinks_the_folder_and_nothing_else_in_it(tmp_path: Path) -> None:
    for number in range(6):
        NoiseCache(tmp_path, LARGE).put(_key(number), _stack(number))
    strangers = ["photo.jpg", "x.noise-maps", f"{_key(1)}.noise-maps.bak", f"{_key(1)}.safetensors", ".part"]
    for name in strangers:
        (tmp_path / name).write_bytes(b"x" * 100_000)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / f"{_key(1)}.noise-maps").write_bytes(b"x")
    size = _own(tmp_path)[_key(0)]
    NoiseCache(tmp_path, 2 * size).put(_key(9), _stack(9))
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*strangers, "inside", f"{_key(5)}.noise-maps", f"{_key(9)}.noise-maps"}
    assert (tmp_path / "inside" / f"{_key(1)}.noise-maps").exists()


def test_nothing_is_stored_without_a_budget_or_beyond_it(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    NoiseCache(folder, 0).put(_key(1), _stack(1))
    assert not folder.exists()
    size = _size(2)
    exact, short = NoiseCache(folder, size), NoiseCache(folder, size - 1)
    short.put(_key(1), _stack(1))
    assert short.get(_key(1)) is None and short.stats.stored_bytes == 0
    exact.put(_key(1), _stack(1))
    assert exact.get(_key(1)) is not None
    short.put(_key(2), _stack(2))  # no reason to throw anything away
    assert exact.get(_key(1)) is not None


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "header", "other key", "float64", "flat", "text"])
def test_a_damaged_file_is_removed_and_told(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from safetensors.torch import save

    cache = NoiseCache(tmp_path, LARGE)
    cache.put(_key(1), _stack(1))
    path = tmp_path / f"{_key(1)}.noise-maps"
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[:-1]
    elif damage == "flipped":
        content[-7] ^= 16
    elif damage == "header":
        content[3] ^= 16
    elif damage == "other key":
        cache.put(_key(2), _stack(2))
        content = bytearray((tmp_path / f"{_key(2)}.noise-maps").read_bytes())
    elif damage == "float64":
        content = bytearray(save({"maps": _stack(1).double()}, {"key": _key(1), "xxh3": "0" * 32}))
    elif damage == "flat":
        content = bytearray(save({"maps": _stack(1)[0]}))
    else:
        content = bytearray(b"" if damage == "empty" else b"no tensors here, but some text")
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert cache.get(_key(1)) is None
    assert [record.message for record in caplog.records] == [caplog.records[0].message]
    assert str(path) in caplog.text and "is damaged" in caplog.text
    assert not path.exists()
    cache.put(_key(1), _stack(1))
    assert torch.equal(cache.get(_key(1)), _stack(1))


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = NoiseCache(tmp_path / "file" / "cache", LARGE)
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            cache.put(_key(number), _stack(number))
            assert cache.get(_key(number)) is None
    assert len([record for record in caplog.records if "cannot be kept" in record.message]) == 1


def test_a_full_disk_is_told_once_and_what_is_there_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = NoiseCache(tmp_path, LARGE)
    cache.put(_key(1), _stack(1))

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(noise_cache, "write_atomically", full)
    with caplog.at_level(logging.WARNING):
        cache.put(_key(2), _stack(2))
        cache.put(_key(3), _stack(3))
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}: noise maps cannot be kept (No space left on device); photos are inverted again when they are "
        "needed again"
    ]
    assert torch.equal(cache.get(_key(1)), _stack(1))


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    old, new = tmp_path / f".{_key(1)}.noise-maps.77.part", tmp_path / f".{_key(2)}.noise-maps.78.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    NoiseCache(tmp_path, LARGE).put(_key(3), _stack(3))
    assert not old.exists() and new.exists()


def test_a_file_that_vanishes_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = NoiseCache(tmp_path, LARGE)
    cache.put(_key(1), _stack(1))
    read = Path.read_bytes

    def removed_meanwhile(path: Path) -> bytes:
        path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", removed_meanwhile)
    assert cache.get(_key(1)) is None


def test_what_is_no_key_or_no_stack_is_refused(tmp_path: Path) -> None:
    cache = NoiseCache(tmp_path, LARGE)
    for key in ("", "../" + "0" * 29, "g" * 32, "0" * 31):
        with pytest.raises(ValueError, match="no key"):
            cache.get(key)
    for stack in (_stack(1).double(), _stack(1)[0]):
        with pytest.raises(ValueError, match="a stack is float32"):
            cache.put(_key(1), stack)


_PROCESS = """
import random, sys, torch
from pathlib import Path
from siamclip.augmentation.fusion.noise_cache import NoiseCache
cache = NoiseCache(Path(sys.argv[1]), int(sys.argv[2]))
draw = random.Random(int(sys.argv[3]))
for _ in range(250):
    number = draw.randrange(12)
    stack = torch.full((2, 3, 4, 4), float(number))
    found = cache.get(f"{number:032x}")
    assert found is None or torch.equal(found, stack), number
    if found is None:
        cache.put(f"{number:032x}", stack)
print(cache.stats.hits)
"""


@pytest.mark.slow
def test_processes_may_share_a_folder(tmp_path: Path) -> None:
    budget = 5 * _size(2)
    folder = tmp_path / "shared"
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _PROCESS, str(folder), str(budget), str(seed)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for seed in range(3)
    ]  # fmt: skip
    for process in running:
        printed, errors = process.communicate()
        assert process.returncode == 0 and errors == "", errors
        assert int(printed) > 0
    NoiseCache(folder, budget).put(_key(99), _stack(99))
    assert sum(_own(folder).values()) <= budget
    assert not list(folder.glob("*.part"))


def test_everything_that_decides_a_stack_is_in_its_key() -> None:
    arguments = {
        "content_hash": "a" * 32, "fingerprint": "b" * 32, "steps": 50, "skip": 3, "eta": 1.0, "seed": 7,
        "geometry": "squash", "side": 64,
    }  # fmt: skip
    changes = {
        "content_hash": "c" * 32, "fingerprint": "c" * 32, "steps": 51, "skip": 4, "eta": 0.9, "seed": 8,
        "geometry": "pad", "side": 128,
    }  # fmt: skip
    keys = {key_of(**arguments)} | {key_of(**arguments | {name: value}) for name, value in changes.items()}
    assert len(keys) == 9 and all(len(key) == 32 for key in keys)
    assert key_of(**arguments | {"eta": 1}) == key_of(**arguments)


@given(seed=st.integers(-(2**70), 2**70), content=st.text("0123456789abcdef", min_size=32, max_size=32))
def test_an_image_s_seed_is_one_that_torch_takes(seed: int, content: str) -> None:
    own = seed_of(seed, content)
    assert 0 <= own < 2**63
    torch.Generator().manual_seed(own)
    assert seed_of(seed, content) == own
    assert own not in (seed_of(seed + 1, content), seed_of(seed, content[1:] + "x"))
