"""Whether local features and an overlay confirm that two photos are copies.

find/ imports it.
"""
