"""Networks that tell the noise in an image, behind one contract: of pixels, or of Stable Diffusion's latents.

`factory.py` opens one by name.
"""
