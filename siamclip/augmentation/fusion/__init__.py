"""Fusion of two photos in a diffusion model's noise space: invert, blend, generate, gate.

augmentation/commands/ imports it; pipeline.py runs it all. Imports diffusion/ for the models; pairs are handed in.
"""
