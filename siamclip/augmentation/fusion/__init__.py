"""Fusion of two photos in a diffusion model's noise space: invert, blend, generate, gate.

`fuse.py` is the way in. Imports diffusion/ for the models, pairing/ for nothing: pairs are handed in.
"""
