"""Training a Siamese encoder: losses, batches, hard negatives, optimiser, validation.

The top floor: imports whatever lies below; only the scripts import it.
"""
