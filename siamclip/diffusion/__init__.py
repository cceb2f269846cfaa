"""Diffusion models: the schedule of a sampler, and the noise space in which a photo is inverted.

augmentation/fusion/ imports it. denoisers/ opens the models, training/ trains one.
"""
