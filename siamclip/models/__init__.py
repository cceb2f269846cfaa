"""The encoder: towers by name, their layers, weights, and checkpoints.

Imports data/ for the preprocessing, nothing above.
"""
