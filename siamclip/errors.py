"""The one error that a user is meant to read, and how a script ends with it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

_SETTING = re.compile(r"`([a-z][a-z0-9_]*)`")


class UserError(Exception):
    """Something the user gave is wrong: which setting or file, what is wrong, and what to do, in one line.

    `setting`: its name, as in the dataclasses of config.py; "" where no setting is at fault, and `problem` then begins
    with the file. `value`: what it was set to. In `problem` and `remedy` other settings stand in backquotes: which flag
    sets them is known to the script alone, which writes `--name` (see exit_on_user_error).

    Scripts print it and exit with code 2; whatever else escapes is a defect of ours and keeps its traceback.
    """

    def __init__(self, setting: str, problem: str = "", remedy: str = "", value: object = None) -> None:
        super().__init__(setting, problem, remedy, value)  # all, so that the error survives pickling
        self.setting = setting
        self.problem = problem
        self.remedy = remedy
        self.value = value

    def __str__(self) -> str:
        return self.told(str)

    def told(self, name: Callable[[str], str]) -> str:
        """The line; `name(setting)` is what the reader calls a setting."""
        if not self.problem:
            return self.setting
        subject = name(self.setting) if self.setting else ""
        subject += "" if self.value is None else f" {self.value}"
        texts = [_SETTING.sub(lambda match: name(match[1]), text) for text in (self.problem, self.remedy)]
        return (f"{subject}: " if subject else "") + "; ".join(filter(None, texts))


class ImageError(Exception):
    """An image cannot be read: `reason` in English, `source` its path or a description of the object."""

    def __init__(self, reason: str, source: str) -> None:
        super().__init__(reason, source)  # both, so that the error survives pickling between processes
        self.reason = reason
        self.source = source

    def __str__(self) -> str:
        source = self.source if self.source.isprintable() else repr(self.source)
        return f"{source}: {self.reason}"


def reason_of(error: Exception) -> str:
    """A library's message for a UserError: one line of 200 characters at most; its class where it says nothing."""
    return without_backquotes(" ".join(str(error).split())[:200]) or type(error).__name__


def without_backquotes(text: object) -> str:
    """Words of others, for `problem` or `remedy` of a UserError: a name in backquotes would be told as a setting."""
    return str(text).replace("`", "'")


def suggestion(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """ "did you mean X?" for a mistyped name, `otherwise` where none of `names` is near."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


@contextmanager
def exit_on_user_error(flags: Mapping[str, str] | None = None) -> Iterator[None]:
    """Around a script's main, as a decorator or in a with statement.

    UserError, ImageError: `error: <message>` on stderr, exit code 2. Ctrl-C: exit code 130, as shells expect.
    `flags`: setting -> flag, where the script's flag is not `--setting`.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except UserError as error:
        text = error.told(lambda setting: (flags or {}).get(setting, f"--{setting}"))
        print(f"error: {printable(text)}", file=sys.stderr)
        raise SystemExit(2) from None
    except ImageError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None


@contextmanager
def settings_called(**names: str) -> Iterator[None]:
    """Errors about the setting `key` become errors about the one that the caller knows it by, `names[key]`."""
    try:
        yield
    except UserError as error:
        raise UserError(names.get(error.setting, error.setting), error.problem, error.remedy, error.value) from error


def printable(text: str) -> str:
    r"""One line that is safe for a terminal: whatever is not printable becomes its escape (\n, \x1b).

    File names may hold line breaks, colour codes and, as lone surrogates, bytes that are no UTF-8.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
