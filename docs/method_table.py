"""Rewrites the method list of docs/cleaning.md from the catalogue: `python docs/method_table.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: the package lies one folder up

from siamclip.catalogue import METHODS, settings_of  # noqa: E402


def rows() -> list[str]:
    """A line a method: name, family, what it sees, whether it runs by default, its settings."""
    lines = ["| method | family | looks for | by default | settings |", "|---|---|---|---|---|"]
    for method in METHODS.values():
        settings = ", ".join(f"`{name}={shown(value.default)}`" for name, value in settings_of(method.name).items())
        default = "yes" if method.default else "no"
        lines.append(f"| `{method.name}` | {method.family} | {method.sees} | {default} | {settings} |")
    return lines


def shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def rewritten(text: str) -> str:
    """The text with what stands between `<!-- methods -->` and `<!-- end -->` made anew."""
    table = "\n".join(rows())
    return re.sub(r"(<!-- methods -->\n).*?(<!-- end -->)", rf"\1{table}\n\2", text, flags=re.DOTALL)


if __name__ == "__main__":
    path = ROOT / "docs" / "cleaning.md"
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
