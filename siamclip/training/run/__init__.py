"""What one training run keeps and shows: its state, checkpoints, log, curves, progress.

train.py imports it. Imports nothing of training/ above it.
"""
