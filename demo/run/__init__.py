"""The whole demo, from no photo to one page of results: `python -m demo.run`, which `make demo` runs.

The top of demo/: it runs the scripts as a user would, reads what they wrote, and imports nothing of them.
"""
