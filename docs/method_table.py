"""Rewrites the method list of docs/cleaning.md from the method table: `python docs/method_table.py`.

In docs/cleaning.zh-CN.md the Chinese texts are kept; a method that is new there gets the English text, which a test
asks to translate.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: the package lies one folder up

from siamclip.cleaning.method_table import METHODS  # noqa: E402
from siamclip.methods import shown  # noqa: E402

ROW = re.compile(r"^\| `(\w+)` \| \w+ \| (.*?) \|", re.MULTILINE)
HEADING = "| method | family | looks for | by default | settings |"
CHINESE_HEADING = "| 方法 | 方法族 | 查找什么 | 默认 | 设置 |"


def rows(heading: str, yes_no: tuple[str, str], texts: Mapping[str, str]) -> list[str]:
    """A line a method: name, family, its entry in `texts` or what it sees, whether it runs by default, settings."""
    lines = [heading, "|---|---|---|---|---|"]
    for method in METHODS.values():
        settings = ", ".join(f"`{name}={shown(value.default)}`" for name, value in method.settings().items())
        default = yes_no[0] if method.default else yes_no[1]
        sees = texts.get(method.name, method.does)
        lines.append(f"| `{method.name}` | {method.family} | {sees} | {default} | {settings} |")
    return lines


def rewritten(page: str, translated: bool = False) -> str:
    """The page with what stands between `<!-- methods -->` and `<!-- end -->` made anew.

    `translated`: what the methods look for is kept as it stands there.
    """

    def anew(match: re.Match[str]) -> str:
        if not translated:
            table = rows(HEADING, ("yes", "no"), {})
        else:
            table = rows(CHINESE_HEADING, ("是", "否"), dict(ROW.findall(match[2])))
        return "\n".join([match[1], *table, match[3]])

    return re.sub(r"(<!-- methods -->)\n(.*?)(<!-- end -->)", anew, page, flags=re.DOTALL)


PAGES = {ROOT / "docs" / "cleaning.md": False, ROOT / "docs" / "cleaning.zh-CN.md": True}  # is it a translation?

if __name__ == "__main__":
    for path, is_translated in PAGES.items():
        path.write_text(rewritten(path.read_text(encoding="utf-8"), is_translated), encoding="utf-8")
