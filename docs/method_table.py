"""Rewrites the method lists of docs/cleaning.md and docs/augmentation.md from the method tables:

python docs/method_table.py

In the Chinese pages the Chinese texts are kept; a method that is new there gets the English text, which a test asks to
translate.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: the package lies one folder up

from siamclip.augmentation.method_table import MIXERS, MODES  # noqa: E402
from siamclip.cleaning.method_table import METHODS  # noqa: E402
from siamclip.methods import Method, shown  # noqa: E402

ROW = re.compile(r"^\| `(\w+)` \| [^|]* \| (.*?) \|", re.MULTILINE)
HEADINGS = {
    "clean.py": (
        "| method | family | looks for | settings | by default |",
        "| 方法 | 方法族 | 查找什么 | 设置 | 默认 |",
    ),
    "augment.py": ("| method | command | gives | settings |", "| 方法 | 命令 | 得到 | 设置 |"),
}


def rows(script: str, chinese: bool, texts: Mapping[str, str]) -> list[str]:
    """A line a method; `texts` (name -> what it does) are taken instead of the table's where there are any."""

    def line(method: Method, belongs_to: str, *more: str) -> str:
        settings = ", ".join(f"`{name}={shown(value.default)}`" for name, value in method.settings().items())
        cells = (f"`{method.name}`", belongs_to, texts.get(method.name, method.does), settings, *more)
        return f"| {' | '.join(cells)} |"

    heading = HEADINGS[script][chinese]
    yes, no = ("是", "否") if chinese else ("yes", "no")
    lines = [heading, "|---" * (heading.count("|") - 1) + "|"]
    if script == "clean.py":
        return lines + [line(method, method.family, yes if method.default else no) for method in METHODS.values()]
    fuse = [line(mode, "fuse") for mode in MODES.values()]
    return lines + fuse + [line(mixer, "mix") for mixer in MIXERS.values()]


def rewritten(page: str, chinese: bool = False) -> str:
    """The page with what stands between `<!-- methods: SCRIPT -->` and `<!-- end -->` made anew.

    `chinese`: what the methods do is kept as it stands there.
    """

    def anew(match: re.Match[str]) -> str:
        opening, script, old, closing = match.groups()
        texts = dict(ROW.findall(old)) if chinese else {}
        return "\n".join([opening, *rows(script, chinese, texts), closing])

    return re.sub(r"(<!-- methods: (\S+) -->)\n(.*?)(<!-- end -->)", anew, page, flags=re.DOTALL)


PAGES = {  # is it Chinese?
    ROOT / "docs" / "cleaning.md": False,
    ROOT / "docs" / "cleaning.zh-CN.md": True,
    ROOT / "docs" / "augmentation.md": False,
    ROOT / "docs" / "augmentation.zh-CN.md": True,
}

if __name__ == "__main__":
    for path, is_chinese in PAGES.items():
        path.write_text(rewritten(path.read_text(encoding="utf-8"), is_chinese), encoding="utf-8")
