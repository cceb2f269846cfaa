"""The encoder: towers by name, their layers, weights, and checkpoints.

embedding/, training/ and the scripts import it. Imports data/ for the preprocessing, nothing above.
"""
