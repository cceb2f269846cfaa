"""Three questions about vehicles that the network has never seen: `python -m demo.three_pairs`.

Writes a CSV for `predict.py --pairs`: one vehicle twice, two vehicles, and one plate on two vehicles. They are the
first ones in the order of the names, seen from behind: nobody picked those that come out well.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

from siamclip.errors import UserError, exit_on_user_error
from siamclip.models.checkpoint import find, read_metadata

Row = dict[str, str]


def three_pairs(rows: list[Row], unseen: set[str]) -> list[tuple[str, Row, Row]]:
    """(question, sighting, sighting) for each question; `rows` are the ground truth's, `unseen` the test folders.

    Raises UserError if the test side holds no cloned plate.
    """
    views = [row for row in rows if Path(row["path"]).parts[0] in unseen and row["viewpoint"] == "rear"]

    for one in views:
        again = [row for row in views if row["vehicle"] == one["vehicle"] and row["path"] != one["path"]]
        other = [row for row in views if row["plate"] != one["plate"] and row["body_type"] == one["body_type"]]
        clone = [row for row in views if row["plate"] == one["plate"] and row["vehicle"] != one["vehicle"]]
        if again and other and clone:
            return [("same vehicle", one, again[0]), ("other vehicle", one, other[0]), ("cloned plate", one, clone[0])]
    remedy = "render more with `cloned_plates`, or train anew"
    raise UserError("data", "no cloned plate among the test vehicles", remedy)


@exit_on_user_error()
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.three_pairs", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the demo data set")
    parser.add_argument("--checkpoint", required=True, help="folder of a run that was trained on it")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    options = parser.parse_args()
    metadata = read_metadata(find(options.checkpoint, Path("checkpoints")))
    with (options.data / "ground_truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    vehicles = Path(os.path.relpath(options.data / "vehicles", options.out.parent))  # as --pairs reads them
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["img1", "img2", "question"])
        for question, one, other in three_pairs(rows, set(metadata["split"]["test"])):
            writer.writerow([(vehicles / one["path"]).as_posix(), (vehicles / other["path"]).as_posix(), question])
    print(f"three pairs: {options.out}")


if __name__ == "__main__":
    main()
