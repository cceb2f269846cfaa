"""How a script ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.errors import ImageError, UserError, exit_on_user_error, printable, suggestion


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("--out: wrong"), 2, "error: --out: wrong\n"),
        (UserError("two\nlines \x1b[31m"), 2, "error: two\\nlines \\x1b[31m\n"),
        (ImageError("the file is empty", "京.jpg"), 2, "error: 京.jpg: the file is empty\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_the_user_did_is_one_line_and_a_code(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @exit_on_user_error()
    def main() -> None:
        raise error

    for _ in range(2):  # the decorator serves more than one call
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == code
        assert capsys.readouterr() == ("", says)


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_user_error():
        _ = 1 / 0


@given(st.text())
def test_printable_is_one_line_that_a_terminal_only_shows(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert printable("a\udcffb") == "a\\udcffb"


def test_a_mistyped_name_is_answered_with_the_nearest_or_with_what_else_to_say() -> None:
    assert suggestion("phsh", ["phash", "dhash"]) == "did you mean phash?"
    assert suggestion("xyz", ["phash"], "choose from phash") == "choose from phash"
    assert suggestion("xyz", []) == ""
