"""Runs beside what a user would otherwise use; each prints a ratio: `python benchmarks/NAME.py --help`."""
