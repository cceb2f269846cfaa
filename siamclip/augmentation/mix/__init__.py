"""Mixing of photos: one method a file, on batches; folder.py makes images of a folder's photos with any of them."""
