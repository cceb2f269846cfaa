"""The methods that find copies: same bytes, same pixels, perceptual hashes, embeddings.

Reached by name through cleaning/method_table.py. They search with hashing/ and cosine/; find/ checks their pairs with
geometry/ and makes groups of them with groups/.
"""
