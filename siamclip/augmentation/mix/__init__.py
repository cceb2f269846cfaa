"""FolderMixing of photos: what methods share, parents and similarity, and images of a whole folder (folder.py).

Training imports batch.py and features.py; nothing here imports training/.
"""
