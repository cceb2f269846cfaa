"""Which photos are fused: similarities of a collection, the best pairs within a band of them, and a plot of both.

augmentation/commands/ imports it. Vectors and labels in, row numbers out; imports nothing of fusion/.
"""
