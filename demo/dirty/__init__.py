"""A collection that needs cleaning: planted defects, and a score of what clean.py found of them.

`python -m demo.dirty.build`, `python -m demo.dirty.score`. Imports demo/build.py, which writes its tables.
"""
