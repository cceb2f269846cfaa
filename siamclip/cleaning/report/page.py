"""What the pages of cleaning share: one self-contained HTML file whose data no name can break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from siamclip.errors import UserError, printable
from siamclip.files.atomic import write_atomically

_HERE = Path(__file__).parent
PAGE_SCRIPT = _HERE / "scripts" / "page.js"  # what all pages do alike
_IMAGES_A_BLOCK = 128  # a block of images is parsed when the first of them is shown


def assemble(
    title: str, template: str, scripts: Sequence[Path], data: Mapping[str, Any], images: Iterable[bytes] = ()
) -> str:
    """The page of a jinja `template`, with report.css, the `scripts` (files) and the data inlined.

    The content security policy lets this style, these scripts (by their hashes), and images from data and files
    through, and nothing else: no request leaves the page, and a script in a name would not run.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    script = "\n" + "\n".join(file.read_text(encoding="utf-8") for file in scripts)
    style = "\n" + (_HERE / "report.css").read_text(encoding="utf-8")
    pages = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    policy = f"default-src 'none'; img-src data: file:; style-src {_hash(style)}; script-src {_hash(script)}"
    return pages.get_template(template).render(
        title=printable(title),
        policy=policy,
        style=Markup(style),
        script=Markup(script),
        data=Markup(script_json(data)),
        blocks=[Markup(block) for block in _blocks(list(images))],
    )


def script_json(value: Any) -> str:
    """JSON for a <script> element: ASCII, and without "<", ">" and "&", which could end it or start a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_page(page: str, path: Path) -> None:
    """Write the page in one step. Raises UserError where the file cannot be written."""
    try:
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        raise UserError("", f"{path}: the page cannot be written ({error.strerror})", "make room there") from error


def folder_url(folder: Path, page: Path) -> str:
    """The URL of a folder as a page sees it: relative, so that both can be moved together; with a final slash.

    A folder on another drive gets an absolute file: URL.
    """
    try:
        relative = Path(os.path.relpath(folder.resolve(), page.resolve().parent))
    except ValueError:
        return folder.resolve().as_uri() + "/"
    return quote(os.fsencode(relative.as_posix())) + "/"


def _blocks(images: Sequence[bytes]) -> list[str]:
    texts = [base64.b64encode(image).decode("ascii") for image in images]
    return [script_json(texts[start : start + _IMAGES_A_BLOCK]) for start in range(0, len(texts), _IMAGES_A_BLOCK)]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
