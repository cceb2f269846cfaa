"""Cleaning a collection: scan once, find, report, apply, undo; calibrate.

One room a command, and one a family of methods. clean.py imports the commands. Nothing here imports augmentation/ or
training/.
"""
