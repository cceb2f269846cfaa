"""A script's commands, a dataclass of settings from a YAML file and flags, and what may change when a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from siamclip.cli.flag_errors import flag_errors
from siamclip.cli.setting_ranges import check
from siamclip.cli.yaml_settings import read_yaml
from siamclip.errors import UserError, suggestion

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Argument:
    """What stands after a command's name without a flag of its own, such as the folder of a run.

    Either it may be left out and stands for the flag of `setting`, or it is required and the command's function gets
    what `opens` makes of it, before the settings.
    """

    name: str  # as the usage line shows it: "RUN"
    setting: str = ""
    what: str = ""  # "the folder of the run"
    example: str = ""
    opens: Callable[[str], Any] = Path


@dataclass(frozen=True)
class Command:
    """One of a script's commands: `function(config)`, and its exit code. Its docstring is the first line of --help.

    Without settings (`config_type` None) it is called as `function()`. `flags`: it gets the flags as they were typed,
    too, to tell what was given from what is a default.
    """

    function: Callable[..., int]
    config_type: type | None = None
    takes: Argument | None = None
    flags: bool = False


def run_commands(script: str, commands: Mapping[str, Command], overview: str | None, argv: Sequence[str]) -> int:
    """Run the command that `argv` names; returns its exit code. `overview` answers --help.

    Raises UserError for a command that does not exist, and for what `parse` refuses.
    """
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(overview)
        return 0
    if name not in commands:
        raise UserError("", f"{name}: there is no such command", suggestion(name, commands, _listed(commands)))
    command = commands[name]
    if command.config_type is None:
        if wrong := [text for text in rest if text not in ("-h", "--help")]:
            raise UserError("", f"{name}: takes nothing, not {wrong[0]}")
        return command.function()
    takes = command.takes
    given = rest.pop(0) if takes is not None and rest and not rest[0].startswith("-") else None
    if takes is not None and takes.setting and given is not None:
        rest = [f"--{takes.setting}", given, *rest]
    usage = " ".join(filter(None, ("python", script, name, takes.name if takes else "")))
    config: Any = parse(command.config_type, rest, f"{usage}: {command.function.__doc__}")
    arguments = [config, rest] if command.flags else [config]
    if takes is None or takes.setting:
        return command.function(*arguments)
    if given is None:
        raise UserError("", f"{name}: give {takes.what}, as in: python {script} {name} {takes.example}")
    return command.function(takes.opens(given), *arguments)


def _listed(names: Mapping[str, Any]) -> str:
    return f"there are {', '.join(names)}"


def parse(
    config_type: type[Settings],
    argv: Sequence[str],
    description: str | None = None,
    preset: Callable[..., Mapping[str, Any]] = dict,
    depends_on: Sequence[str] = (),
) -> Settings:
    """The dataclass's own defaults, then `preset`, then the YAML file of ``--config``, then the flags.

    `preset` is given those of the settings `depends_on` that the YAML file or a flag sets. Raises UserError on a flag
    that does not exist or does not parse, on a bad YAML file, and on a value outside its range.
    """
    import tyro

    arguments = list(argv)
    yaml_path, arguments = take_flag(arguments, "config")
    from_yaml = read_yaml(Path(yaml_path), config_type) if yaml_path else {}
    flags = {name: value for name in depends_on if (value := take_flag(arguments, name)[0])}
    decisive = {name: value for name, value in (from_yaml | flags).items() if name in depends_on}
    with flag_errors(config_type, arguments):
        config = tyro.cli(
            config_type,
            args=arguments,
            default=config_type(**{**preset(**decisive), **from_yaml}),
            description=f"{description or ''}\n\n--config FILE reads settings from a YAML file; flags win over it.",
            use_underscores=True,
        )
    check(config)
    return config


def take_flag(argv: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of ``--name VALUE`` or ``--name=VALUE``, and the arguments without it. UserError without a value."""
    for i, argument in enumerate(argv):
        if argument == f"--{name}":
            if i + 1 == len(argv):
                raise UserError(name, "a value is missing")
            return argv[i + 1], argv[:i] + argv[i + 2 :]
        if argument.startswith(f"--{name}="):
            return argument.split("=", 1)[1], argv[:i] + argv[i + 1 :]
    return None, argv


def resumed(saved: Mapping[str, Any], given: Settings, argv: Sequence[str], may_change: Set[str]) -> Settings:
    """The settings of a run that goes on: those it was started with, and of those given now the ones in `may_change`.

    Raises UserError for a flag that would change the outcome: it would be neither the old run nor the new one.
    """
    for argument in argv:
        name = argument.removeprefix("--").split("=", 1)[0].replace("-", "_")
        name = name.removeprefix("no_") if name not in saved else name
        if argument.startswith("--") and name not in may_change:
            raise UserError(name, "cannot change on `resume`", "leave it out, or start a new run")
    kept = {key: value for key, value in saved.items() if key not in may_change}
    return replace(given, **kept)  # type: ignore[type-var]
