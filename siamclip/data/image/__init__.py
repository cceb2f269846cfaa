"""One photo: decoded, made a tower's square, grey, small, or with its plate hidden.

decode.py is the only decoder (EXIF orientation, alpha, 16 bit, CMYK). Imports nothing of data/ above it.
"""
