"""Scorers of one photo and the methods that judge their values: integrity, size, exposure, objects.

Sharpness and no-reference quality have rooms of their own. Reached by name through cleaning/method_table.py.
"""
