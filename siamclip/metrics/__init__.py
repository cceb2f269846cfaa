"""Numbers from distances, vectors and labels: verification, retrieval, calibration, collapse, intervals.

Pure functions on arrays. Imports nothing of the package but errors.
"""
