"""The one error that a user is meant to read, and how a script ends with it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user gave is wrong: which file or flag, what is wrong, and what to do, in one line.

    Scripts print it and exit with code 2; whatever else escapes is a defect of ours and keeps its traceback.
    """


def suggestion(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """ "did you mean X?" for a mistyped name, `otherwise` where none of `names` is near."""
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]}?" if close else otherwise


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Around a script's main, as a decorator or in a with statement.

    UserError, ImageError: `error: <message>` on stderr, exit code 2. Ctrl-C: exit code 130, as shells expect.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except Exception as error:
        from siamclip.image import ImageError  # Pillow and NumPy: not for the sake of --help

        if not isinstance(error, UserError | ImageError):
            raise
        print(f"error: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(2) from None


def printable(text: str) -> str:
    r"""One line that is safe for a terminal: whatever is not printable becomes its escape (\n, \x1b).

    File names may hold line breaks, colour codes and, as lone surrogates, bytes that are no UTF-8.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
