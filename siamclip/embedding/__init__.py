"""Photos to unit vectors: the embedder, and a store that remembers them by content.

Everything that needs embeddings goes through embedder.py.
"""
