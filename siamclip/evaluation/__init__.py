"""How an embedder is measured on verification and retrieval: who is evaluated, and which embedders are compared.

evaluate.py imports it. measurement/ holds the measurement itself, report/ draws and writes; the maths lies in metrics/.
"""
