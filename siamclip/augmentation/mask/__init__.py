"""Masks that hide parts of photos: one method a file, on batches.

Reached by name through the table in augmentation/method_table.py.
"""
