"""The methods that find copies: same bytes, same pixels, perceptual hashes, embeddings.

Reached by name through cleaning/method_table.py. hashing/, vectors/ and geometry/ are their
tools, groups/ makes groups.
"""
