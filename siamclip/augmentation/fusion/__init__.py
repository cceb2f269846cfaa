"""Fusion of two photos in a diffusion model's noise space: invert, blend, generate, gate.

`fuse.py` is the way in. Imports diffusion/ for the models; pairs are handed in, so that it imports nothing of pairing/.
"""
