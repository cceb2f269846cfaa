"""The renderer: camera, light, weather, scene, rasteriser, shading.

Imports nothing of vehicle/ but a mesh and its atlas.
"""
