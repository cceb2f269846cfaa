"""What a run trains on: photos and images made of them, and what happens to a batch of them.

train.py and dataset.py import it. May import augmentation/, whose methods it applies to batches.
"""
