"""What a vehicle is (kind, shape, plate) and how its surfaces are painted into an atlas.

Imports nothing of demo/vehicle/ above it.
"""
