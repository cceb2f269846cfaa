"""Search among unit vectors by cosine: exact, by faiss, or through clusters.

../semantic.py imports it, and augmentation/pairing/ does.
"""
