"""The commands of the demo: as a shell reads them, and going on where training stopped."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from demo.run.steps import DemoFolder, Step, demo_steps


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_command_on_several_lines_is_the_same_command(width: int) -> None:
    for step in demo_steps(Path("demo output")):
        lines = step.lines(width)
        assert all(len(line) <= width for line in lines)
        typed = "\n".join(lines).replace("\\\n", "")  # as a shell joins them, which shlex does not
        assert shlex.split(typed) == ["python", *step.arguments] == shlex.split(step.command)


def test_a_flag_stays_with_its_value() -> None:
    lines = Step("train", ("train.py", "--data_dir", "photos", "--model", "resnet50")).lines(30)
    assert lines == ["python train.py \\", "    --data_dir photos \\", "    --model resnet50"]


def test_training_that_began_is_resumed(tmp_path: Path) -> None:
    def training() -> tuple[str, ...]:
        return next(step.arguments for step in demo_steps(tmp_path) if step.name == "train")

    assert "--resume" not in training()
    last = DemoFolder(tmp_path).run / "last"
    last.mkdir(parents=True)
    assert "--resume" not in training()
    (last / "metadata.json").write_text("{}")
    assert "--resume" in training()


def test_every_step_writes_a_log_of_its_own() -> None:
    steps = demo_steps(Path("out"))
    logs = DemoFolder(Path("out")).step_logs(steps)
    assert len(set(logs)) == len(steps)
    assert logs[1] == Path("out/logs/02_train.log")
