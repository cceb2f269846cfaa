"""Rewrites the tables of docs/settings.md from config.py and the files like it: `python docs/option_table.py`.

In docs/settings.zh-CN.md names and defaults are made anew and the Chinese texts are kept; an option that is new there
gets the English text, which a test asks to translate.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: config.py lies one folder up

import config  # noqa: E402
import config_augment  # noqa: E402
import config_clean  # noqa: E402

SCRIPTS = {
    "train.py": config.TrainConfig,
    "evaluate.py": config.EvaluateConfig,
    "predict.py": config.PredictConfig,
    "clean.py scan": config_clean.CleanScanConfig,
    "clean.py find": config_clean.CleanFindConfig,
    "clean.py report": config_clean.CleanReportConfig,
    "clean.py run": config_clean.CleanRunConfig,
    "clean.py apply": config_clean.CleanApplyConfig,
    "clean.py undo": config_clean.CleanUndoConfig,
    "clean.py calibrate": config_clean.CleanCalibrateConfig,
    "augment.py fuse": config_augment.AugmentFuseConfig,
    "augment.py mix": config_augment.AugmentMixConfig,
    "augment.py train-ddpm": config_augment.AugmentTrainDdpmConfig,
}
FIELD = re.compile(r"^    (\w+): ")
ROW = re.compile(r"^\| (`--\w+`) \| `[^`]*` \| (.*) \|$", re.MULTILINE)


def comments(config_type: type) -> dict[str, str]:
    """Field name -> the comment above it; fields that follow without a blank line or a comment share it."""
    found: dict[str, str] = {}
    for kind in reversed(config_type.__mro__[:-1]):
        block: list[str] = []
        open_block = False
        for line in inspect.getsource(kind).splitlines():
            text = line.strip()
            if text.startswith("# -- ") or not text:
                block, open_block = [], False
            elif text.startswith("#"):
                block = [*block, text[2:]] if open_block else [text[2:]]
                open_block = True
            elif match := FIELD.match(line):
                found[match[1]] = " ".join(block)
                open_block = False
    return found


def rows(script: str) -> list[tuple[str, str, str]]:
    """(option, default, meaning) of a script's own options; those it shares with train.py are listed there."""
    config_type = SCRIPTS[script]
    shared = {f.name: f.default for f in fields(config.TrainConfig)} if script != "train.py" else {}
    shared.pop("threshold", None)  # that of predict.py is another one
    texts = comments(config_type)
    return [
        (f"`--{field.name}`", f"`{default(field.default)}`", texts[field.name].replace("|", "\\|"))
        for field in fields(config_type)
        if field.default is not MISSING and shared.get(field.name, MISSING) != field.default
    ]


def default(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def table(script: str, heading: str, texts: Mapping[str, str] | None = None) -> str:
    """The table under `heading`; `texts` (option -> meaning) are taken instead of the comments where there are any."""
    lines = [heading, "|---|---|---|"]
    for option, value, meaning in rows(script):
        lines.append(f"| {option} | {value} | {(texts or {}).get(option, meaning)} |")
    return "\n".join(lines)


def rewritten(page: str, translated: bool = False) -> str:
    """The page with every table between `<!-- options: SCRIPT -->` and `<!-- end -->` made anew.

    `translated`: the meanings that stand there are kept.
    """

    def anew(match: re.Match[str]) -> str:
        opening, script, old, closing = match.groups()
        if not translated:
            return f"{opening}{table(script, f'| `{script}` | default | meaning |')}\n{closing}"
        return f"{opening}{table(script, f'| `{script}` | 默认值 | 含义 |', dict(ROW.findall(old)))}\n{closing}"

    return re.sub(r"(<!-- options: (.+?) -->\n)(.*?)(<!-- end -->)", anew, page, flags=re.DOTALL)


PAGES = {ROOT / "docs" / "settings.md": False, ROOT / "docs" / "settings.zh-CN.md": True}  # is it a translation?

if __name__ == "__main__":
    for path, is_translated in PAGES.items():
        path.write_text(rewritten(path.read_text(encoding="utf-8"), is_translated), encoding="utf-8")
