"""Mixing of photos: what methods share, parents and similarity, images of a whole folder (folder.py).

Training imports batch.py and features.py; nothing here imports training/.
"""
