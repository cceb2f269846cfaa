"""From the command to the answer: `predict.py --img1 --img2` in fresh processes, against what its imports alone cost.

python benchmarks/start_up.py

Two rendered photos and checkpoints with random weights, since speed does not depend on them. The floor is
`import torch`; the last row is what building the same networks through open_clip and timm would import. All in turns,
and the best of each, which says most on a machine that does other work meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

MODELS = ("efficientnet-lite0", "ViT-B/32")
GOAL = 3.0  # seconds of wall time on two cores with a warm disk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times that each command is measured")
    arguments = parser.parse_args()

    from benchmarks.machine import machine
    from benchmarks.photos import render_photos

    with tempfile.TemporaryDirectory() as folder:
        one, other = render_photos(Path(folder), 2)
        commands = {"import torch": [sys.executable, "-c", "import torch"]}
        for model in MODELS:
            checkpoint = _checkpoint(Path(folder, model.replace("/", "-")), model)
            pair = ["--img1", str(one), "--img2", str(other), "--checkpoint", str(checkpoint), "--device", "cpu"]
            commands[f"predict.py, {model}"] = [sys.executable, str(ROOT / "predict.py"), *pair]
        commands["import torch, open_clip, timm"] = [sys.executable, "-c", "import torch, open_clip, timm"]
        for command in commands.values():  # files into the page cache, byte code onto the disk
            _seconds(command)
        rounds = [[_seconds(command) for command in commands.values()] for _ in range(arguments.rounds)]
    print(machine())
    print(f"{'best of ' + str(arguments.rounds):32}    wall   user+sys")
    columns = zip(*rounds, strict=True)  # one a command, of (wall, user+sys) each
    best = {name: tuple(map(min, zip(*column, strict=True))) for name, column in zip(commands, columns, strict=True)}
    for name, (wall, cpu) in best.items():
        print(f"{name:32} {wall:6.2f} s   {cpu:6.2f} s")
    slowest = max(best[f"predict.py, {model}"][0] for model in MODELS)
    print(f"goal: under {GOAL:.0f} s of wall time: {'reached' if slowest < GOAL else 'missed'} ({slowest:.2f} s)")


def _checkpoint(folder: Path, model: str) -> Path:
    """What training leaves, with random weights."""
    from siamclip.models.checkpoint import save
    from siamclip.models.encoder import create

    encoder = create(model, "random")
    threshold = {"value": 0.5, "rule": "f1", "chosen_on": "validation"}
    metadata = {"run": folder.name, "encoder": encoder.spec.to_dict(), "threshold": threshold}
    save(folder / "best", {"weights": encoder.tower.state_dict()}, metadata)
    return folder


def _seconds(command: list[str]) -> tuple[float, float]:
    """Wall time, and that of all cores together, of a process from its start to its end."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])


if __name__ == "__main__":
    main()
