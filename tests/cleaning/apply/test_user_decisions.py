"""decisions.json: what the report writes, and one clear line for what it did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siamclip.cleaning.apply.user_decisions import FORMAT, UserDecision, UserDecisions, read_decisions, to_json
from siamclip.errors import UserError

A, B = "0a" * 16, "0b" * 16
HASHES = st.text("0123456789abcdef", min_size=32, max_size=32)


def file(folder: Path, **changes: Any) -> Path:
    photos = [{"path": "a/1.jpg", "content": A, "keep": False}]
    content = {"format": FORMAT, "run": "r", "photos": photos, "not_duplicates": [[B, A]], **changes}
    path = folder / "decisions.json"
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return path


def test_reads_what_a_browser_exports(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    # A lone surrogate (a name that is no UTF-8) as JSON.stringify writes it; Windows' byte order mark in front.
    text = '{"format":1,"run":"r","photos":[{"path":"a/\\udce9.jpg","content":"","keep":true}],"not_duplicates":[]}'
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_decisions(path) == UserDecisions("r", (UserDecision("a/\udce9.jpg", "", True),), ())
    assert read_decisions(file(tmp_path)) == UserDecisions("r", (UserDecision("a/1.jpg", A, False),), ((A, B),))


@given(
    run=st.text(),
    photos=st.dictionaries(st.text(st.characters(), min_size=1), st.tuples(HASHES, st.booleans())),
    pairs=st.lists(st.tuples(HASHES, HASHES)),
)
def test_comes_back(
    run: str,
    photos: dict[str, tuple[str, bool]],
    pairs: list[tuple[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    decisions = UserDecisions(
        run,
        tuple(UserDecision(path, content, keep) for path, (content, keep) in photos.items()),
        tuple((min(pair), max(pair)) for pair in pairs),
    )
    path = tmp_path_factory.getbasetemp() / "decisions.json"
    path.write_text(to_json(decisions))
    assert read_decisions(path) == decisions


PHOTO = {"path": "a/1.jpg", "content": A, "keep": True}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "is of format 2, this version reads 1"),
    ({"format": ...}, "is of format None"),
    ({"run": 7}, "'run' must be a text"),
    ({"photos": {}}, "'photos' must be a list"),
    ({"photos": ...}, "'photos' must be a list"),
    ({"photos": [PHOTO, "a/1.jpg"]}, r"photos, entry 2: must be \{path, content, keep\}"),
    ({"photos": [{**PHOTO, "path": ""}]}, "photos, entry 1: 'path' must be a text"),
    ({"photos": [{**PHOTO, "path": None}]}, "photos, entry 1: 'path' must be a text"),
    ({"photos": [{**PHOTO, "content": "xyz"}]}, "photos, entry 1: 'content' must be 32 hexadecimal digits"),
    ({"photos": [{**PHOTO, "content": A + "\n"}]}, "photos, entry 1: 'content' must be 32 hexadecimal digits"),
    ({"photos": [{**PHOTO, "keep": "false"}]}, "photos, entry 1: 'keep' must be true or false"),
    ({"photos": [{**PHOTO, "keep": 0}]}, "photos, entry 1: 'keep' must be true or false"),
    ({"photos": [PHOTO, {**PHOTO, "keep": False}]}, "photos, entry 2: 'a/1.jpg' is decided in entry 1 already"),
    ({"not_duplicates": None}, "'not_duplicates' must be a list"),
    ({"not_duplicates": [[A, B], [A]]}, "not_duplicates, entry 2: must be two contents"),
    ({"not_duplicates": [[A, 3]]}, "not_duplicates, entry 1: must be two contents"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_says_what_is_wrong(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = file(tmp_path, **changes)
    with pytest.raises(UserError, match=said) as error:
        read_decisions(path)
    assert str(error.value).startswith(f"decisions {path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000])
def test_files_that_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match="export it from the report again"):
        read_decisions(path)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        read_decisions(tmp_path / "nowhere.json")
