"""siamclip: compare, clean and augment image collections with a fine-tuned Siamese CLIP."""

__version__ = "0.1.0"
