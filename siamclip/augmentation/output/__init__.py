"""The folder that augment.py writes: images, manifest, journal, contact sheet, settings.

augmentation/commands/, fusion/ and mix/ write through folder.py; training/ reads the manifest.
"""
