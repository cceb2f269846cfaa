"""Renders the demo data set: `python -m demo --out demo_output/data [--sheet docs/images/demo.jpg]`."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from siamclip.errors import exit_on_user_error


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """The command line; exits with code 2 for something that the user can mend."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set, new or empty")
    parser.add_argument("--vehicles", type=int, default=64, help="genuine vehicles (default 64)")
    parser.add_argument("--sightings", type=int, default=8, help="pictures of each vehicle (default 8)")
    parser.add_argument("--cloned_plates", type=int, default=12, help="plates on a second vehicle too (default 12)")
    parser.add_argument("--size", type=int, default=224, help="longer side in pixels (default 224)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another fleet (default 0)")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: one a core)")
    parser.add_argument("--sheet", type=Path, default=None, help="also write a contact sheet: .jpg or .png")
    options = parser.parse_args(arguments)

    from demo import build_demo, contact_sheet

    paths = build_demo(
        options.out, options.vehicles, options.sightings, options.cloned_plates, options.size, options.seed,
        _show_progress if sys.stderr.isatty() else None, options.workers,
    )  # fmt: skip
    if options.sheet is not None:
        pictures = [paths.vehicles / path for path in choose_for_sheet(paths.ground_truth)]
        contact_sheet(pictures, options.sheet, columns=options.sightings)
        print(f"contact sheet: {options.sheet}")
    print(f"demo data set: {paths.vehicles}")


def choose_for_sheet(ground_truth: Path) -> list[str]:
    """Pictures for a contact sheet, a vehicle after the other: the first of each body type, then the vehicles
    of one cloned plate."""
    with ground_truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    genuine = {row["body_type"]: row["vehicle"] for row in reversed(rows) if row["is_clone"] == "0"}
    chosen = list(genuine.values())
    clones = [row for row in rows if row["is_clone"] == "1"]
    if clones:
        pair = [clones[0]["clone_of"], clones[0]["vehicle"]]
        chosen = [vehicle for vehicle in chosen if vehicle not in pair] + pair
    return [row["path"] for vehicle in chosen for row in rows if row["vehicle"] == vehicle]


def _show_progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rrendering {done} of {total}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
