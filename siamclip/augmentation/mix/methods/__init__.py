"""The methods of mixing, one file each, on batches.

Reached by name through the table in augmentation/method_table.py.
"""
