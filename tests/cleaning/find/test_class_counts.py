"""Photos of each identity before and after."""

from __future__ import annotations

import csv
import io
import sys

import numpy as np
from rich.console import Console

from siamclip.cleaning.find.console import class_counts_table
from siamclip.cleaning.find.decide import ClassCounts, class_counts
from siamclip.cleaning.find.results import class_counts_csv
from tests.cleaning.photo_tables import photos_of


def test_counts_of_readable_photos() -> None:
    photos = photos_of(
        "A/1.jpg", "A/2.jpg", "B/1.jpg", "loose.jpg", "C/1.jpg", "C/2.jpg",
        errors=["", "", "", "", "empty", ""], archived=[False, False, True, False, False, False],
    )  # fmt: skip
    remove = np.array([True, False, False, True, True, False])
    assert class_counts(photos, remove).rows() == [("A", 2, 1), ("B", 1, 1), ("C", 1, 1), ("(no folder)", 1, 0)]
    assert class_counts(photos_of("A/1.jpg"), np.array([True])).rows() == [("A", 1, 0)]
    assert class_counts(photos_of(), np.zeros(0, bool)).rows() == []


def shown(counts: ClassCounts, most: int = 20) -> list[list[str]]:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(class_counts_table(counts, most))
    lines = console.export_text().replace("┃", "│").splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]


def test_the_table_begins_with_what_loses_most_and_adds_up() -> None:
    counts = ClassCounts(list("ABCDE"), np.array([10, 4, 8, 5, 7]), np.array([9, 2, 4, 5, 7]))
    rows = {row[0]: row[1:] for row in shown(counts)}
    assert list(rows)[-5:] == ["C", "B", "A", "2 that lose none", "all"]
    assert rows["C"] == ["8", "4", "4 (50%)"]
    assert rows["2 that lose none"] == ["12", "12", "0"]
    assert rows["all"] == ["34", "27", "7"]
    assert {row[0]: row[1:] for row in shown(counts, most=1)}["2 more that lose photos"] == ["14", "11", "3"]


def test_odd_names_on_the_console_and_in_the_csv() -> None:
    names = ["[red]x[/red]", "two\nlines", "\udcff\r", "京A,1"]
    counts = ClassCounts(names, np.full(4, 2), np.full(4, 1))
    assert {"[red]x[/red]", "two\\nlines", "\\udcff\\r", "京A,1"} <= {row[0] for row in shown(counts)}
    text = class_counts_csv(counts).decode("utf-8-sig", sys.getfilesystemencodeerrors())
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["identity", "before", "after"],
        *([name, "2", "1"] for name in names),
    ]
