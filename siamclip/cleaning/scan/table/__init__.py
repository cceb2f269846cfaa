"""The scanned table on the disk: files, features by content, state; photos.py opens it for the methods.

find/, apply/ and calibrate/ open photos.py. Imports nothing of scan/ above it.
"""
