"""Commands of a script, and what may change when a run goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from config import MAY_CHANGE_ON_RESUME, TrainConfig
from siamclip.cli.command_line import Argument, Command, resumed, run_commands
from siamclip.errors import UserError


@dataclass
class Looks:
    data: str = "photos"
    margin: float = 0.5


CALLS: list[tuple[Any, ...]] = []


def called(*arguments: Any) -> int:
    """Look at photos."""
    CALLS.append(arguments)
    return 7


COMMANDS = {
    "look": Command(called, Looks, Argument("DATA", setting="data")),
    "open": Command(called, Looks, Argument("RUN", what="the folder", example="a_run", opens=Path), flags=True),
    "list": Command(called),
}


def run(*argv: str) -> tuple[Any, ...]:
    """What the command's function was given."""
    CALLS.clear()
    assert run_commands("toy.py", COMMANDS, "overview", argv) == 7
    return CALLS[0]


def test_a_command_gets_what_stands_behind_it_and_its_settings() -> None:
    assert run("look") == (Looks(),)
    assert run("look", "here", "--margin", "1") == (Looks("here", 1.0),) == run("look", "--margin=1", "--data", "here")
    assert run("open", "folder", "--margin", "1") == (Path("folder"), Looks(margin=1.0), ["--margin", "1"])
    assert run("list") == ()


def test_help_of_the_script_and_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([], ["-h"], ["--help"]):
        assert run_commands("toy.py", COMMANDS, "overview", argv) == 0
        assert capsys.readouterr().out == "overview\n"
    with pytest.raises(SystemExit) as stop:
        run_commands("toy.py", COMMANDS, "overview", ["open", "--help"])
    assert not stop.value.code
    assert "python toy.py open RUN: Look at photos." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["lok"], "lok: there is no such command; did you mean look?"),
        (["x"], "x: there is no such command; there are look, open, list"),
        (["open"], "open: give the folder, as in: python toy.py open a_run"),
        (["open", "--margin", "1"], "open: give the folder, as in: python toy.py open a_run"),
        (["list", "all"], "list: takes nothing, not all"),
        (["look", "--margin", "3"], "margin 3.0: must be in (0, 2]: no two unit vectors are farther apart than 2"),
        (["look", "--dat", "x"], "--dat: there is no such flag; did you mean data?"),
    ],
)
def test_what_is_no_command_is_refused(argv: list[str], says: str) -> None:
    CALLS.clear()
    with pytest.raises(UserError) as error:
        run_commands("toy.py", COMMANDS, "overview", argv)
    assert str(error.value) == says
    assert not CALLS


# -- going on -------------------------------------------------------------------------------------------------------


def test_a_resumed_run_keeps_its_settings_but_for_where_it_runs() -> None:
    saved = asdict(TrainConfig(learning_rate=3e-4, num_epochs=7, num_workers=2, run_name="a", flip=False))
    given_now = TrainConfig(resume=True, run_name="b", num_workers=9, device="cuda:1", cache_gb=0.5)
    argv = ["--resume", "--run_name", "b", "--num-workers=9", "--device", "cuda:1", "--cache_gb", "0.5"]
    config = resumed(saved, given_now, argv, MAY_CHANGE_ON_RESUME)
    assert (config.learning_rate, config.num_epochs, config.flip) == (3e-4, 7, False)
    for name in MAY_CHANGE_ON_RESUME:
        assert getattr(config, name) == getattr(given_now, name)


@pytest.mark.parametrize("flag", ["--learning_rate=1", "--num-epochs", "--no_flip", "--no-wise-ft", "--config"])
def test_a_resumed_run_refuses_what_would_change_its_outcome(flag: str) -> None:
    with pytest.raises(UserError, match="cannot change on resume"):
        resumed(asdict(TrainConfig()), TrainConfig(resume=True), ["--resume", flag, "1"], MAY_CHANGE_ON_RESUME)


def test_what_may_change_exists() -> None:
    assert {field.name for field in fields(TrainConfig)} >= MAY_CHANGE_ON_RESUME
