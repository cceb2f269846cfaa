"""The terminal: lines, durations."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

from siamclip.errors import printable


def new_console() -> Console:
    return Console(highlight=False)


def with_flags(text: str) -> str:
    """A note for who runs a script: settings in backquotes become their flags, `skip` becomes --skip.

    For texts of the program's own: a file's name may hold anything.
    """
    return re.sub(r"`([a-z][a-z0-9_]*)`", r"--\1", text)


def say(console: Console, *lines: str) -> None:
    """Lines as they are: a name with brackets is no markup, a long one is not broken."""
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


def duration(seconds: float) -> str:
    """h:mm:ss"""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
