"""From a distance to an answer, and how an answer is written, drawn, or put into a table.

predict.py imports it.
"""
