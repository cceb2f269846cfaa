"""The commands fuse and mix of augment.py, from the photos of a folder to the images in another.

augment.py alone imports it. Imports the other rooms of augmentation/, none of which imports it.
"""
