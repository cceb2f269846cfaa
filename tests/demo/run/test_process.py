"""A step as a process: its log, its errors, its end by Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from demo.run.__main__ import run_demo
from demo.run.process import environment, run_step
from demo.run.steps import DemoFolder, Step

ROOT = Path(__file__).resolve().parents[3]


def quiet() -> Console:
    return Console(file=io.StringIO(), width=100)


def python(name: str, code: str) -> Step:
    return Step(name, ("-c", code))


def test_both_streams_go_to_the_log_and_nothing_is_lost_of_an_earlier_run(tmp_path: Path) -> None:
    step = python("talk", "import sys; print('令 done'); print('a warning', file=sys.stderr)")
    log = tmp_path / "new" / "talk.log"
    outcome = run_step(step, log, quiet())
    assert (outcome.code, outcome.complaints) == (0, "a warning\n")
    assert outcome.seconds > 0
    first = log.read_text(encoding="utf-8")
    assert first.startswith("$ python -c ")
    assert {"令 done", "a warning"} <= set(first.splitlines())
    run_step(step, log, quiet())
    assert log.read_text(encoding="utf-8").startswith(first)
    assert log.read_text(encoding="utf-8").count("令 done\n") == 2


def test_a_terminal_shows_the_last_line_while_the_step_runs_and_none_of_it_afterwards(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    run_step(
        python("epochs", "import time; print('epoch ' + 'x' * 99); time.sleep(1)"), tmp_path / "log", console, 2, 3
    )
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    assert "epoch xxx" in written
    assert "1/3" in written
    assert written.endswith("\x1b[2K")  # the line is erased
    assert max(len(line) for line in written.replace("\r", "\n").splitlines()) < 80


def test_a_pipe_gets_no_progress(tmp_path: Path) -> None:
    console = quiet()
    run_step(python("silent", "print('for the log')"), tmp_path / "log", console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_a_step_is_told_to_print_without_colours_at_once() -> None:
    given = environment({"FORCE_COLOR": "1", "HOME": "/root"})
    assert given["HOME"] == "/root"
    assert "FORCE_COLOR" not in given
    assert (given["NO_COLOR"], given["PYTHONUNBUFFERED"], given["PYTHONIOENCODING"]) == ("1", "1", "utf-8")


def test_the_demo_ends_with_the_error_and_the_code_of_the_step_that_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = "import sys; print('said before'); print('error: --out: is full', file=sys.stderr); sys.exit(3)"
    steps = [python("one", "print(1)"), python("two", fails), python("three", "print(3)")]
    with pytest.raises(SystemExit) as ended:
        run_demo(steps, DemoFolder(tmp_path), quiet(), lambda name, folder: ())
    assert ended.value.code == 3
    error = capsys.readouterr().err
    assert error.startswith("error: --out: is full\n")
    assert str(tmp_path / "logs" / "02_two.log") in error
    assert [path.name for path in sorted((tmp_path / "logs").iterdir())] == ["01_one.log", "02_two.log"]


def test_warnings_of_a_step_are_not_lost(tmp_path: Path) -> None:
    console = quiet()
    steps = [python("warns", "import sys; print('careful', file=sys.stderr)"), python("quiet", "pass")]
    run_demo(steps, DemoFolder(Path(tmp_path)), console, lambda name, folder: [f"figures of {name}"])
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "    figures of warns" in lines
    assert [line for line in lines if "warnings are in" in line] == [
        f"    warnings are in {tmp_path}/logs/01_warns.log"
    ]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_step_that_a_signal_killed_ends_the_demo_as_a_shell_says_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run_demo(
            [python("killed", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")],
            DemoFolder(tmp_path), quiet(), lambda name, folder: (),
        )  # fmt: skip
    assert ended.value.code == 128 + signal.SIGKILL


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)], ids=["INT", "TERM", "HUP"])
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupted_demo_leaves_no_step_behind(tmp_path: Path, number: int, code: int) -> None:
    step = (
        "import os, time\n"
        "try:\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('saved', flush=True)\n"
        "    raise SystemExit(130)\n"
    )
    demo = (
        "import sys\n"
        "from demo.run import __main__ as demo\n"
        "from demo.run.steps import Step\n"
        f"demo.demo_steps = lambda out: [Step('sleep', ('-c', {step!r}))]\n"
        "demo.main(['--out', sys.argv[1]])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", demo, str(tmp_path)], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log = tmp_path / "logs" / "01_sleep.log"
    try:
        until = time.monotonic() + 30
        while not _pid(log):
            assert time.monotonic() < until, process.poll()
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == code
    with pytest.raises(ProcessLookupError):
        os.kill(_pid(log), 0)
    if number == signal.SIGINT:
        assert error == "interrupted\n"
        assert log.read_text(encoding="utf-8").endswith("saved\n")


def _pid(log: Path) -> int:
    """What the step printed in a line of its own; 0 before that."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return next((int(line) for line in lines if line.isdigit()), 0)
