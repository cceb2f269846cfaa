"""What one training run keeps and shows: its state, checkpoints, log, curves, progress.

train.py imports it. Imports training/ above it for weights and thresholds, and is imported by none of it.
"""
