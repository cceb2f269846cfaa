"""Sharpness, one measure a file.

Reached by name through cleaning/method_table.py; augmentation's gate uses the variance of the Laplacian.
"""
