"""Which photos are fused: similarities of a collection, and the best pairs within a band of them.

Embeddings of a collection in, pairs of its photos out. Imports nothing of fusion/.
"""
