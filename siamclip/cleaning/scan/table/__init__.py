"""The scanned table on the disk: files, features by content, state; photo_table.py opens it for the methods.

find/, report/, apply/ and calibrate/ open it. Imports nothing of scan/ above it.
"""
