"""How an embedder is measured and reported: the words that evaluate.py is told with."""
