"""Diffusion models: their noise schedules, and the inversion of a photo into noise maps.

augment.py and augmentation/ import it. denoisers/ opens the models, training/ trains one.
"""
