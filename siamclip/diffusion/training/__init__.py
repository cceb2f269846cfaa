"""Training of a small diffusion model of pixels on the user's own photos (Ho et al. 2020, arXiv:2006.11239).

augment.py imports command.py, settings.py and run/state.py.
"""
