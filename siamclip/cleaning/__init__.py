"""Cleaning a collection: scan once, find, report, apply, undo; calibrate.

A room for each command (clean.py imports its command.py), and three for the methods: quality, duplicates, consistency.
Nothing here imports augmentation/ or training/.
"""
