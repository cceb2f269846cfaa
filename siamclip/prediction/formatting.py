"""How an answer is written: on the terminal, as JSON, in a row of a CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from siamclip.errors import printable
from siamclip.prediction.decision import Comparison, DecisionRule


def answer_fields(rule: DecisionRule, comparison: Comparison) -> dict[str, Any]:
    """A comparison for JSON and CSV; None where there is no confidence, since neither of them knows nan."""
    confidence = None if math.isnan(comparison.confidence) else round(comparison.confidence, 6)
    return {
        "answer": rule.answer(comparison),
        "is_same": comparison.is_same,
        "distance": round(comparison.distance, 6),
        "confidence": confidence,
    }


def basis_fields(rule: DecisionRule, model: str) -> dict[str, Any]:
    """What answers rest on."""
    calibrated = rule.calibration is not None
    return {"threshold": rule.threshold, "threshold_origin": rule.origin, "calibrated": calibrated, "model": model}


def basis_lines(rule: DecisionRule, model: str) -> str:
    return f"threshold   {rule.threshold:.4f} ({printable(rule.origin)})\nmodel       {printable(model)}"


def pair_lines(rule: DecisionRule, comparison: Comparison) -> str:
    answer = rule.answer(comparison)
    leaning = f": look yourself (rather {'the same' if comparison.is_same else 'different'})"
    return (
        f"answer      {answer}{leaning if answer == 'near the threshold' else ''}\n"
        f"distance    {comparison.distance:.4f}\n"
        f"confidence  {percent(comparison.confidence)}"
    )


def row_line(row: dict[str, str], fields: dict[str, Any]) -> str:
    """A row of a CSV of pairs with its answer; `fields` as `answer_fields` gives them, or with an error."""
    if fields["answer"] is None:
        return printable(f"unreadable: {fields['error']}")
    confidence = math.nan if fields["confidence"] is None else fields["confidence"]
    own = " | ".join(value for value in row.values() if value)
    return printable(f"{fields['answer']:<18} {fields['distance']:.4f}  {percent(confidence):>6}  {own}")


def percent(confidence: float) -> str:
    """Never 100.0%: no calibration is that sure."""
    return "not calibrated" if math.isnan(confidence) else f"{min(100 * confidence, 99.9):.1f}%"


def as_json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], Any]]:
    """A bar on stderr where that is a terminal; gives the function to be called with what was done since."""
    from rich.console import Console

    from siamclip.cli.progress_bars import Bars

    with Bars(Console(stderr=True)) as bars:
        yield bars.step(what, total)
