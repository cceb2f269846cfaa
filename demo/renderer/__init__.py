"""The renderer: camera, light, weather, scene, rasteriser, shading.

Imports vehicle/ for models and their atlas; vehicle/ imports nothing of it.
"""
