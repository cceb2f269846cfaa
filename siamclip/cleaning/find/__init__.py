"""`clean.py find`: run the methods on the scanned table, and decide what is proposed for removal.

decide.py decides; results.py writes and reads what came out. report/, apply/ and calibrate/ read it.
"""
