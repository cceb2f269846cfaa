"""Mixing of photos: what the methods share, parents and similarity, images of a whole folder (mix_folder.py).

augmentation/commands/ and training/ import it; nothing here imports training/.
"""
