"""Methods on embeddings: outliers, label errors, folders that hold two vehicles.

Reached by name through cleaning/method_table.py; the table of photos with embeddings and labels in, findings out.
"""
