"""Search among embeddings by cosine: exact, or through clusters.

../semantic.py and consistency/ import it.
"""
