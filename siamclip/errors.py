"""The one error that a user is meant to read."""

from __future__ import annotations


class UserError(Exception):
    """Something the user gave is wrong: which file or flag, what is wrong with it, and what to do, in one line.

    Scripts print it and exit with code 2; anything else that escapes is a defect of ours and keeps its traceback.
    """
