"""How an embedder is measured on verification and retrieval: on which photos, and beside which other embedders.

evaluate.py imports it. measurement/ holds the measurement itself, report/ draws and writes; the maths lies in metrics/.
"""
