"""Verification, retrieval, calibration and their uncertainty: NumPy arrays in, floats and dataclasses out.

The distance is Euclidean between unit vectors, d in [0, 2], lower is more alike. "Same" is the positive
class.
"""
