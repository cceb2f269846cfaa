"""What a training of a diffusion model keeps and shows: state, output, meter, an orderly interruption.

Imports nothing of diffusion/training/ above it.
"""
