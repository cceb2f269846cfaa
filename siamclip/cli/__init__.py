"""Command lines: commands, flags, YAML files, ranges of settings, values in their types, progress bars, lines.

The scripts import it, steps that report progress, and methods.py. Knows no step.
"""
