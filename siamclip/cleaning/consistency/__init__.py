"""Finders of strangers and wrong labels among embeddings."""
