"""The table at the end of a run: which accuracy it states, and at which threshold."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from siamclip.training.run.progress import final_table

BEFORE = {"val_auc": 0.8, "val_eer": 0.25, "val_loss": 0.2}
AFTER = {"val_auc": 0.95, "val_eer": 0.1, "val_loss": 0.1}


def table_of(before: dict[str, float], after: dict[str, float], **metadata: Any) -> list[list[str]]:
    """The cells of the table's rows, and its title as the first."""
    kept = {"metrics": after, "epoch": 3, "wise_ft_alpha": None, "threshold": {"value": 0.87}, "config": {}, **metadata}
    table = final_table(before, kept)
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    return [[str(table.title)], *cells]


def test_accuracy_is_stated_at_the_threshold_that_validation_chose() -> None:
    before = BEFORE | {"val_threshold": 0.61, "val_accuracy_at_threshold": 0.74}
    after = AFTER | {"val_threshold": 0.87, "val_accuracy_at_threshold": 0.91}
    rows = table_of(before, after)
    assert ["accuracy at the threshold", "0.7400", "0.9100"] in rows
    assert ["threshold (best F1)", "0.6100", "0.8700"] in rows


def test_a_fixed_threshold_is_named_beside_its_accuracy() -> None:
    """Runs of earlier versions always had one."""
    rows = table_of(BEFORE | {"val_accuracy": 0.5}, AFTER | {"val_accuracy": 0.5}, config={"threshold": 0.5})
    assert ["accuracy at distance 0.5", "0.5000", "0.5000"] in rows
    assert ["threshold (best F1)", "", "0.8700"] in rows


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epoch": 3}, "best: epoch 3"),
        ({"epoch": 0}, "training did not improve on them"),
        ({"wise_ft_alpha": 0.4}, "0.4 fine-tuned + 0.6 pretrained weights"),
    ],
)
def test_the_title_says_which_weights_are_the_best(changes: dict[str, Any], said: str) -> None:
    accuracy = {"val_accuracy": 0.5}
    assert said in table_of(BEFORE | accuracy, AFTER | accuracy, config={"threshold": 0.5}, **changes)[0][0]
