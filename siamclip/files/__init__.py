"""Files on the disk: written whole or not at all, locked, CSV that keeps every name.

Imports nothing of the package but errors.
"""
