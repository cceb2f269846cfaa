"""Command lines: settings from flags and YAML, their ranges, progress bars, lines on the terminal.

The scripts import it, and steps that report progress. Knows no step.
"""
