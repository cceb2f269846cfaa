"""Flags that do not parse: one line, which names the flag, what is wrong and the nearest that would do."""

from __future__ import annotations

import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import pytest

from config import EvaluateConfig, TrainConfig
from siamclip.cli.coercion import expected
from siamclip.cli.command_line import parse
from siamclip.errors import UserError
from tests.script_settings import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def refused(config_type: type, argv: list[str]) -> str:
    """The line that a script prints."""
    with pytest.raises(UserError) as error:
        parse(config_type, argv)
    line = error.value.told(lambda setting: f"--{setting}")
    assert "\n" not in line
    return line


WRONG = {
    # flags that are not there
    "--learning_rat 1": "--learning_rat: there is no such flag; did you mean --learning_rate?",
    "--learning-rat=1": "--learning-rat: there is no such flag; did you mean --learning_rate?",
    "-margin 3": "-margin: there is no such flag; did you mean --margin?",
    "--no_flp": "--no_flp: there is no such flag; did you mean --no_flip?",
    "--no_margin": "--no_margin: there is no such flag; did you mean --margin?",
    "--confg a.yaml": "--confg: there is no such flag; did you mean --config?",
    "--zzzzz": "--zzzzz: there is no such flag; --help lists them",
    "-x": "-x: there is no such flag; --help lists them",
    "--mix a b --margni 2": "--margni: there is no such flag; did you mean --margin?",
    # values that are not there
    "--batch_size": "--batch_size: a value is missing",
    "--optimizer --margin 1": "--optimizer: a value is missing",
    "--config": "--config: a value is missing",
    # values of another type
    "--num_epochs many": "--num_epochs many: must be a whole number",
    "--num_epochs 1.5": "--num_epochs 1.5: must be a whole number",
    "--num-epochs=many": "--num_epochs many: must be a whole number",
    "--num_epochs=": "--num_epochs '': must be a whole number",
    "--margin=0.1=2": "--margin 0.1=2: must be a number",
    "--image_size large": "--image_size large: must be a whole number or None",
    "--num_epochs 3 --num_epochs x": "--num_epochs x: must be a whole number",
    # choices
    "--recipe stronger": "--recipe stronger: must be baseline or strong; did you mean strong?",
    "--optimizer adamx": "--optimizer adamx: must be adamw, adam or sgd; did you mean adam?",
    "--optimizer none": "--optimizer none: must be adamw, adam or sgd",
    # values that belong to no flag
    "photos": "photos: no flag takes this value; a value with spaces needs quotes; --help lists the flags",
    "--num_epochs 3 4": "4: no flag takes this value; a value with spaces needs quotes; --help lists the flags",
    "--flip true": "--flip true: takes no value; leave it out: --flip or --no_flip",
    "--no-flip=3": "--no_flip 3: takes no value; leave it out: --no_flip or --flip",
    # several at once: the first
    "--bogus 2 --alsobogus": "--bogus: there is no such flag; --help lists them",
    "--optimizer adamx --recipe stronger": "--optimizer adamx: must be adamw, adam or sgd; did you mean adam?",
}  # fmt: skip


@pytest.mark.parametrize("flags", WRONG)
def test_a_wrong_flag_is_one_line(flags: str) -> None:
    assert refused(TrainConfig, flags.split(" ")) == WRONG[flags]


def test_a_choice_that_may_be_none_is_told_as_it_is_typed() -> None:
    told = refused(EvaluateConfig, ["--split", "none"])
    assert told == "--split none: must be test, val, all or None; did you mean None?"
    assert parse(EvaluateConfig, ["--split", "None"]).split is None


@pytest.mark.parametrize("script", SETTINGS)
def test_flags_of_every_command_are_suggested_for_mistyped_ones(script: str) -> None:
    for field in fields(SETTINGS[script])[::6]:  # a parser is made for each: some must do
        mistyped = field.name + "q"
        line = refused(SETTINGS[script], [f"--{mistyped}", "1"])
        assert line == f"--{mistyped}: there is no such flag; did you mean --{field.name}?"


@pytest.mark.parametrize("script", SETTINGS)
def test_every_setting_with_choices_refuses_others(script: str) -> None:
    for name, kind in typing.get_type_hints(SETTINGS[script]).items():
        if typing.get_origin(kind) is typing.Literal:
            line = refused(SETTINGS[script], [f"--{name}", "zzz"])
            assert line == f"--{name} zzz: must be {expected(kind)}"


@pytest.mark.parametrize("script", SETTINGS)
def test_a_script_prints_one_line_and_ends_with_2(script: str) -> None:
    done = subprocess.run(
        [sys.executable, *script.split(), "--helpp", "a\nb"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --helpp: there is no such flag; did you mean --help?\n"
