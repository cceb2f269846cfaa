"""Perceptual hashes and the exact search among them.

The scan computes them, ../perceptual.py searches them.
"""
