"""Fusion of two photos in a diffusion model's noise space."""
