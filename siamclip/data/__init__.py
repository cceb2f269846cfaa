"""A collection of photos: found, listed, loaded in bulk, paired.

Every step imports it; image/ holds what happens to one photo.
"""
