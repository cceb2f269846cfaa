"""Scorers of one image: integrity, size, sharpness, exposure, no-reference quality."""
