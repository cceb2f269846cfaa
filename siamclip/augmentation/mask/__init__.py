"""Masks that hide parts of photos, one method a file, on batches; fill.py is what they share.

Reached by name through the table in augmentation/method_table.py. Imports nothing of mix/ but the batch.
"""
