"""Making new training images of a collection: fusion, mixing and masking.

The scripts and training/ import it. May import cleaning/ and all below, never training/.
"""
