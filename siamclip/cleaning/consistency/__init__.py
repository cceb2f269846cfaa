"""Methods on embeddings: outliers, label errors, folders that hold two vehicles.

Reached by name through cleaning/method_table.py; an (N, D) array and labels in, scores out.
"""
