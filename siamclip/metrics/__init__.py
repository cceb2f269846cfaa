"""Numbers from distances and labels: verification, retrieval, calibration, intervals. Pure functions on arrays.

Imports nothing of the package but errors.
"""
