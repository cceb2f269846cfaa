"""Finders of duplicates: hashes, embeddings, geometry; and what is done with the pairs they find."""
