"""The commands of the demo, in order, and where each leaves its results."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One command. `name`: of its log; `arguments`: what follows `python`."""

    name: str
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """As typed in a shell."""
        return shlex.join(("python", *self.arguments))

    def lines(self, width: int) -> list[str]:
        """The command on lines of at most `width` characters, broken as a shell reads it."""
        parts: list[str] = []  # a flag and its first value stay together
        for word in map(shlex.quote, ("python", *self.arguments)):
            if parts and parts[-1].startswith("--") and " " not in parts[-1] and not word.startswith("--"):
                parts[-1] += f" {word}"
            else:
                parts.append(word)
        lines = parts[:1]
        for part in parts[1:]:
            if len(lines[-1]) + len(part) + 3 <= width:  # a blank before it, " \" after it
                lines[-1] += f" {part}"
            else:
                lines.append(f"    {part}")
        return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


@dataclass(frozen=True)
class DemoFolder:
    """The paths below the folder that the demo writes."""

    root: Path

    @property
    def data(self) -> Path:
        """The rendered vehicles that are trained and evaluated on."""
        return self.root / "data"

    @property
    def vehicles(self) -> Path:
        return self.data / "vehicles"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def run(self) -> Path:
        """Checkpoints of the training, which is called demo."""
        return self.checkpoints / "demo"

    @property
    def logs(self) -> Path:
        """What each step printed; logs/demo holds what training recorded."""
        return self.root / "logs"

    @property
    def training_log(self) -> Path:
        return self.logs / "demo"

    @property
    def report(self) -> Path:
        return self.root / "report"

    @property
    def pairs(self) -> Path:
        return self.root / "three_pairs.csv"

    @property
    def answers(self) -> Path:
        return self.root / "three_answers.csv"

    @property
    def more(self) -> Path:
        """Vehicles that the network has never seen, to be spoiled."""
        return self.root / "more"

    @property
    def dirty(self) -> Path:
        return self.root / "dirty"

    @property
    def clean(self) -> Path:
        """The cleaning run with the demo's own checkpoint."""
        return self.root / "clean"

    @property
    def clean_outliers(self) -> Path:
        """The cleaning run for outliers, with the pretrained network: training on vehicles forgets other things."""
        return self.root / "clean_outliers"

    @property
    def fused(self) -> Path:
        return self.root / "fused"

    @property
    def index(self) -> Path:
        return self.root / "index.html"

    def step_logs(self, steps: Sequence[Step]) -> list[Path]:
        """The log of each step."""
        return [self.logs / f"{number:02}_{step.name}.log" for number, step in enumerate(steps, 1)]


def demo_steps(out: Path) -> list[Step]:
    """The steps into folder `out`: training goes on where it stopped, if it began; the other commands do so unasked."""
    folder = DemoFolder(out)
    vehicles, run = folder.vehicles, folder.run
    record = ("--checkpoint_dir", folder.checkpoints, "--log_dir", folder.logs, "--run_name", "demo")
    if (run / "last" / "metadata.json").is_file():
        training: tuple[object, ...] = (*record, "--resume")
    else:
        training = (
            *record, "--data_dir", vehicles, "--plate_boxes", folder.data / "plates.csv",
            "--model", "efficientnet-lite0", "--recipe", "strong", "--image_size", 192, "--num_epochs", 8,
            "--test_ratio", 0.3,
        )  # fmt: skip
    photos = folder.dirty / "photos"
    return [
        _step("render", "-m demo", "--out", folder.data),
        _step("train", "train.py", *training),
        _step(
            "evaluate", "evaluate.py", "--data_dir", vehicles, "--checkpoint", run,
            "--cloned_pairs", folder.data / "cloned_pairs.csv", "--out", folder.report,
        ),
        _step("pairs", "-m demo.three_pairs", "--data", folder.data, "--checkpoint", run, "--out", folder.pairs),
        _step("predict", "predict.py", "--checkpoint", run, "--pairs", folder.pairs, "--out", folder.answers),
        _step("render_more", "-m demo", "--out", folder.more, "--vehicles", 24, "--cloned_plates", 4, "--seed", 7),
        _step("spoil", "-m demo.dirty.build", "--source", folder.more, "--out", folder.dirty),
        _step(
            "clean", "clean.py run", photos, "--out", folder.clean, "--checkpoint_dir", folder.checkpoints,
            "--orientations", "--set", "laplacian.threshold=20",
            "label_errors.deviations=1.5", "too_small.min_width=96", "too_small.min_height=72",
        ),
        _step("scan", "clean.py scan", photos, "--out", folder.clean_outliers, "--embedder", "efficientnet-lite0"),
        _step("outliers", "clean.py find", folder.clean_outliers, "--methods", "outliers"),
        _step("score", "-m demo.dirty.score", "--dirty", folder.dirty, "--run", folder.clean, folder.clean_outliers),
        _step(
            "fuse", "augment.py fuse", "--input_dir", vehicles, "--output_dir", folder.fused,
            "--checkpoint_dir", folder.checkpoints, "--max_pairs", 12, "--max_uses", 1, "--steps", 25,
            "--temp_yaml", folder.root / "temp_fusion.yaml",
        ),
    ]  # fmt: skip


def _step(name: str, program: str, *arguments: object) -> Step:
    # Slashes on Windows too: Python takes both, and a command that is shown can be typed anywhere.
    texts = (value.as_posix() if isinstance(value, Path) else str(value) for value in arguments)
    return Step(name, (*program.split(), *texts))
