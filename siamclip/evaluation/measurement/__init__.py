"""The measurement itself: pairs, thresholds, metrics with intervals, cloned plates, the worst mistakes.

Evaluation's other modules and evaluate.py import it. It imports data/ and metrics/, nothing of evaluation/ above it.
"""
