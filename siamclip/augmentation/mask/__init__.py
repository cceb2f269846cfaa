"""Masks that hide parts of photos: one method a file, on batches."""
