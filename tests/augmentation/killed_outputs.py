"""Writes an output folder in processes that get killed, and looks whether the same command makes it whole again.

    python -m tests.augmentation.killed_outputs FOLDER 40    killed at 40 of its steps, evenly spread

A script of its own because it forks: that is safe in a process without threads only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet  # noqa: F401  (once, not in each child; its threads start when it is used)

from siamclip.augmentation.contracts import MadeImage
from siamclip.augmentation.output.folder import OutputFolder

PHOTOS = ["a/1.jpg", "a/2.jpg", "a/deep/1.jpg", "b /x.png", "b /1+2.linear.png"]
PARENTS = [("a/1.jpg", "a/2.jpg"), ("a/2.jpg", "a/deep/1.jpg"), ("a/1.jpg", "b /x.png"), ("b /x.png", "")]
METHODS = ("linear", "cross_fade")
# What Python tells before it happens, of all that changes a disk; fsync, which tells nothing, is added below.
STEPS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")


def write(root: Path, out: Path) -> None:
    """All images that are not there, three at a time."""
    with OutputFolder(out, root, "fuse", {"steps": 5}) as output:
        names = output.names(PARENTS, METHODS, PHOTOS)
        jobs = [
            (f"{name}.{method}.png", method, pair)
            for name, pair in zip(names, PARENTS, strict=True)
            for method in METHODS
        ]
        jobs = [job for job in jobs if job[0] not in output.done]
        for start in range(0, len(jobs), 3):
            output.write([image_of(*job) for job in jobs[start : start + 3]])
        output.copy_photos(PHOTOS)


def image_of(path: str, method: str, pair: tuple[str, str]) -> tuple[MadeImage, np.ndarray]:
    seed = sum(os.fsencode(path))
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    rejected = "" if seed % 3 else "blurred"
    scores = {"sharpness": seed / 7}
    return MadeImage(path, method, *pair, 0.5, 0.9, {"a": 1.0}, seed, "model", rejected, scores, {"steps": 5}), pixels


def die_at(step: int, below: Path) -> None:
    """End this process by kill -9 before its step number `step` below a folder."""
    done = 0

    def count(path: Any) -> None:
        nonlocal done
        if str(path).startswith(str(below)):
            done += 1
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(lambda event, arguments: count(arguments[0]) if event in STEPS else None)
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        count(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    os.fsync = counted


def in_a_child(root: Path, out: Path, step: int) -> bool:
    """Whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            die_at(step, out)
            write(root, out)
        except BaseException:
            os._exit(9)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"step {step}: failed"
    return os.WIFSIGNALED(status)


def snapshot(folder: Path) -> dict[str, bytes]:
    """The lines of the journal may stand in any order."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    contents = {name: path.read_bytes() for name, path in files.items()}
    contents["journal.jsonl"] = b"".join(sorted(contents["journal.jsonl"].splitlines(True)))
    return contents


def main(folder: Path, kills: int) -> None:
    root = folder / "photos"
    for photo in PHOTOS:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(photo.encode() * 50)
    assert not in_a_child(root, folder / "whole", 0)
    whole, before = snapshot(folder / "whole"), snapshot_of_photos(root)
    last = 1
    while in_a_child(root, folder / f"sought{last}", last):
        last *= 2
    steps = sorted({1 + i * (last - 1) // (kills - 1) for i in range(kills)})
    done = 0
    for step in steps:
        out = folder / f"killed{step}"
        done += in_a_child(root, out, step)  # beyond the last step it comes to its end
        in_a_child(root, out, max(1, step // 2))  # and once more, while it goes on
        assert not in_a_child(root, out, 0), f"step {step}: killed"
        found = snapshot(out)
        assert found == whole, f"step {step}: {sorted(set(found.items()) ^ set(whole.items()))}"
        shutil.rmtree(out)
    assert snapshot_of_photos(root) == before
    print(f"{done} kills")


def snapshot_of_photos(root: Path) -> dict[str, bytes]:
    return {photo: (root / photo).read_bytes() for photo in PHOTOS}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
