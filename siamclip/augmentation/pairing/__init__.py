"""Which photos are fused: similarities of a collection, and the best pairs within a band of them.

Vectors and labels in, row numbers out. Imports nothing of fusion/.
"""
