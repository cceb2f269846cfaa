"""How an embedder is measured on verification and retrieval, with intervals; cloned plates apart.

evaluate.py imports it. The maths lies in metrics/; report/ draws and writes.
"""
